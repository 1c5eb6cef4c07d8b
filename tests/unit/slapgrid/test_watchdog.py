"""What supervisord tells the watchdog, and what becomes of it in a simulated world."""

from __future__ import annotations

from functools import partial

import pytest

from labsim.world.world import World
from slap.replicas import Replicas
from slapgrid.platform import hold_nothing
from slapgrid.promises.banging import Bangs
from slapgrid.slap_client import SlapClient
from slapgrid.supervision.conf import Watching, render_main
from slapgrid.supervision.events import (
    Complaint,
    EventReader,
    MalformedEvents,
    ProgramEnd,
    complain,
    decode_complaint,
    encode_complaint,
    find_end,
)
from slapgrid.supervision.watching import Watchdog

PAYLOAD = (
    b"processname:server-on-watch groupname:slappart0 from_state:RUNNING expected:0 "
    b"pid:2766"
)
HEADER = (
    b"ver:3.0 server:supervisor serial:21 pool:watchdog poolserial:10 "
    b"eventname:PROCESS_STATE_EXITED len:%d\n" % len(PAYLOAD)
)
END = ProgramEnd("slappart0", "server-on-watch")


def test_events_are_read_in_whatever_pieces_they_come() -> None:
    """Byte by byte, or two at once."""
    reader = EventReader()

    pieces = [reader.add(bytes([byte])) for byte in HEADER + PAYLOAD]
    both = EventReader().add(2 * (HEADER + PAYLOAD))

    (event,) = [event for piece in pieces for event in piece]
    assert both == [event, event]
    assert find_end(*event) == END


@pytest.mark.parametrize(
    ("name", "process_name"),
    [
        ("PROCESS_STATE_EXITED", "init"),
        ("PROCESS_STATE_STOPPED", "server-on-watch"),
    ],
)
def test_programs_that_may_end_are_no_matter_of_the_watchdog(
    name: str, process_name: str
) -> None:
    """Nor is what was told to stop."""
    payload = {"processname": process_name, "groupname": "slappart0"}

    assert find_end(name, payload) is None


@pytest.mark.parametrize("content", [b"nonsense\n", b"eventname:X len:-1\n"])
def test_what_supervisord_does_not_write_is_refused(content: bytes) -> None:
    """The watchdog ends, and supervisord starts it again."""
    with pytest.raises(MalformedEvents):
        EventReader().add(content)


@pytest.mark.parametrize("timestamp", [None, "", "1700000000.25"])
def test_a_complaint_is_read_as_it_was_written(timestamp: str | None) -> None:
    """In the words of stock nodes."""
    complaint = complain(END, timestamp)

    assert decode_complaint(encode_complaint(complaint)) == complaint
    assert complaint.message == (
        "server-on-watch process in partition slappart0 encountered a problem"
    )


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b"3"])
def test_what_is_no_complaint_is_refused(document: bytes) -> None:
    """A power loss may leave anything."""
    with pytest.raises(ValueError, match=r"."):
        decode_complaint(document)


def test_the_section_of_the_watchdog_survives_odd_paths() -> None:
    """Supervisord expands percents and splits at blanks."""
    watching = Watching("/py", "/a b/w.py", ("/x%y",), ("http://m/",), "COMP-1")

    rendered = render_main("/i", "sv.sock", watching.command("/i"))

    assert "[eventlistener:watchdog]" in rendered
    assert (
        "command=/py -I '/a b/w.py' --path /x%%y --master-url http://m/ "
        "--computer-id COMP-1 --instance-root /i\n"
    ) in rendered
    assert "events=PROCESS_STATE_EXITED, PROCESS_STATE_FATAL\n" in rendered


def test_a_complaint_waits_for_a_master_and_survives_a_power_loss() -> None:
    """It is on disk before supervisord is answered; what is moot is dropped."""
    world = World(seed=3)
    host = world.host("computer")

    learnt: list[float] = []

    def watchdog() -> Watchdog:
        runtime = host.runtime
        tree = runtime.file_tree("/srv")
        client = SlapClient(runtime, Replicas(("http://[2001:db8::99]:5000",)))
        bangs = Bangs("COMP-1", runtime, tree, client, hold_nothing)
        learn = partial(learnt.append, 1.0)
        return Watchdog(runtime, tree, bangs, learn=learn)

    tree = host.runtime.file_tree("/srv")
    tree.make_directory("slappart0")
    tree.write("slappart0/.timestamp", b"1.5")
    first = watchdog()
    first.start()
    first.take(END)
    first.take(ProgramEnd("no-partition", "server-on-watch"))
    host.crash()
    host.boot()
    tree = host.runtime.file_tree("/srv")
    assert tree.list("var/slapgrid/bangs") == ("slappart0",)
    kept = decode_complaint(tree.read("var/slapgrid/bangs/slappart0"))
    assert kept == Complaint(complain(END, "1.5").message, "1.5")

    second = watchdog()
    second.start()
    world.run_for(100)
    assert tree.list("var/slapgrid/bangs") == ("slappart0",)
    # Which replicas there are, before each try.
    assert len(learnt) > 2
    tree.write("slappart0/.timestamp", b"2.5")
    world.run_for(400)
    assert tree.list("var/slapgrid/bangs") == ()
