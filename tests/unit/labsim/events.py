"""Short ways to write histories."""

from __future__ import annotations

from labsim.history import CallBegan, CallEnded, Committed, Outcome

ACKNOWLEDGED = Outcome.ACKNOWLEDGED
REFUSED = Outcome.REFUSED
UNKNOWN = Outcome.UNKNOWN


def began(at, wanted="started", client="alice", number=0, subject="shop"):
    return CallBegan(at, client, number, "request", subject, wanted)


def ended(at, outcome=ACKNOWLEDGED, client="alice", number=0, tid=""):
    return CallEnded(at, client, number, outcome, tid=tid)


def called(at, wanted="started", number=0, outcome=ACKNOWLEDGED, subject="shop"):
    """A call that takes a tenth of a second."""
    return (
        began(at, wanted, number=number, subject=subject),
        ended(at + 0.1, outcome, number=number),
    )


def committed(tid, reads="", writes="", master="m1", **more):
    """``reads`` is like ``"x1 y2"``, ``writes`` like ``"x y"``; tids are digits."""
    serials = {each[0]: each[1:] for each in reads.split()}
    at = float(int(tid, 16)) if tid else 99.0
    return Committed(at, master, tid, serials, tuple(writes.split()), **more)
