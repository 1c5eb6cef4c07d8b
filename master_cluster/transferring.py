"""Core. What becomes of the standing of a state, and what is refused because of it.

====================  ==========  ==========  ==========  ===========
asked of a state      open        frozen      moved       receiving
====================  ==========  ==========  ==========  ===========
reads, polls          answered    answered    ``Moved``   503
changes               made        503         ``Moved``   503
``transfer``          answered    answered    answered    answered
``freeze``            is frozen   again       ``Moved``   503
``thaw``              again       is open     ``Moved``   503
``move``              400         is moved    again, or   503
                                              400
``receive``           400         400         ``Moved``   taken
``open``              again, or   400         ``Moved``   is open, or
                      400                                 400
====================  ==========  ==========  ==========  ===========

What is done again changes nothing. A state that is being received has a standing in it,
that of the master where the copy was made; it counts for nothing until it is opened.
"""

from __future__ import annotations

from attrs import evolve, frozen

from slap.errors import Refusal, SlapError, Unavailable
from slap.replicas import ListedReplica
from slap.transfer import RECEIVING, Moved, Piece, Standing, TransferReport

FROZEN_RETRY_AFTER_SECONDS = 2
"""A state of some megabytes is moved in seconds."""

RECEIVING_RETRY_AFTER_SECONDS = 2

_SENTENCES = {
    Standing.OPEN: "this master serves its state",
    Standing.FROZEN: "nothing is changed here until the state is moved or thawed",
}


@frozen
class KeptStanding:
    """The standing of a state, as its store keeps it.

    ``replicas`` are those that took over when it was moved. ``digest`` is that of the
    content with which the store was opened, empty when it was never received.
    """

    standing: Standing = Standing.OPEN
    replicas: tuple[ListedReplica, ...] = ()
    digest: str = ""

    @property
    def is_open(self) -> bool:
        return self.standing is Standing.OPEN

    def report(self) -> TransferReport:
        """Return what is told of it."""
        return TransferReport(
            self.standing,
            sentence=_SENTENCES.get(self.standing) or moved_sentence(self),
            digest=self.digest,
            is_whole=self.digest != "",
            replicas=self.replicas,
        )


def refusal_of_changes(kept: KeptStanding) -> SlapError | None:
    """Say why nothing is changed in a state; ``None`` when it may be."""
    if kept.standing is Standing.MOVED:
        return Moved(kept.replicas)
    if kept.standing is Standing.FROZEN:
        return Unavailable(
            "this master's state is being moved; ask again", FROZEN_RETRY_AFTER_SECONDS
        )
    return None


def decide_freeze(kept: KeptStanding) -> KeptStanding:
    _check_not_moved(kept)
    return evolve(kept, standing=Standing.FROZEN)


def decide_thaw(kept: KeptStanding) -> KeptStanding:
    _check_not_moved(kept)
    return evolve(kept, standing=Standing.OPEN)


def decide_move(
    kept: KeptStanding, replicas: tuple[ListedReplica, ...]
) -> KeptStanding:
    """Let ``replicas`` take over, for good."""
    moved = KeptStanding(Standing.MOVED, replicas, kept.digest)
    if kept.is_open:
        raise Refusal("freeze the state first: whoever changes it would be lost")
    if kept.standing is Standing.MOVED and kept != moved:
        raise Refusal(moved_sentence(kept))
    return moved


def check_opened(kept: KeptStanding, digest: str) -> None:
    """Refuse to open what has a state, unless it was opened with just this."""
    _check_not_moved(kept)
    if not kept.is_open:
        raise Refusal("this state is frozen here and was not received: thaw it")
    if kept.digest != digest:
        raise Refusal("this master has another state already")


def decide_opening(copied: KeptStanding, digest: str) -> KeptStanding:
    """Return the standing of a received state from now on."""
    if copied.standing is Standing.MOVED:
        raise Refusal(
            "what was received is the state of a master that had moved already:"
            f" {moved_sentence(copied)}"
        )
    return KeptStanding(Standing.OPEN, digest=digest)


@frozen
class ReceivedCopy:
    """So much of a copy as is on the disk of who receives it."""

    digest: str
    byte_count: int
    received_byte_count: int

    @property
    def is_whole(self) -> bool:
        return self.received_byte_count == self.byte_count


def place_piece(present: ReceivedCopy | None, piece: Piece) -> tuple[ReceivedCopy, int]:
    """Return the copy with a piece, and how much of it was there before.

    A copy with another digest or size begins anew. ``Refusal`` for a gap.
    """
    known_count = 0
    if present is not None and (present.digest, present.byte_count) == (
        piece.digest,
        piece.byte_count,
    ):
        known_count = present.received_byte_count
    if piece.offset > known_count:
        raise Refusal(
            f"{known_count} bytes of this copy are here: go on with the one at offset"
            f" {known_count}, not {piece.offset}"
        )
    received = max(known_count, piece.end)
    return ReceivedCopy(piece.digest, piece.byte_count, received), known_count


def _check_not_moved(kept: KeptStanding) -> None:
    if kept.standing is Standing.MOVED:
        raise Moved(kept.replicas)


def moved_sentence(moved: KeptStanding) -> str:
    return Moved(moved.replicas).sentence


def receiving(reason: str) -> Unavailable:
    """What a master says to all that it cannot answer before it has a state."""
    return Unavailable(f"{RECEIVING}: {reason}", RECEIVING_RETRY_AFTER_SECONDS)
