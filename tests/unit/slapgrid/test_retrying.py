"""The retry memory: delays, progress, JSON both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapgrid.convergence.retrying import (
    BACKOFFS,
    REVIVAL_MEMORY_SECONDS,
    Backoff,
    Effort,
    Outcome,
    Reported,
    RetryMemory,
    Stage,
    absorb,
    decode_memory,
    encode_memory,
    retain,
    waiting_efforts,
)

NOW = 1_000_000.0
BUILD_FAILED = Outcome(Effort.BUILD, "url", failure="no compiler")

outcomes = st.builds(
    Outcome,
    st.sampled_from(Effort),
    st.sampled_from(["slappart0", "slappart1", "http://master/a b.cfg"]),
    st.text(max_size=5),
    st.none() | st.text(max_size=20),
)


@st.composite
def memories(draw: st.DrawFn) -> RetryMemory:
    memory = RetryMemory()
    for outcome in draw(st.lists(outcomes, max_size=20)):
        memory = absorb(memory, outcome, draw(st.floats(0, 2e9)))
    return memory


@given(memories())
def test_a_memory_survives_json(memory: RetryMemory) -> None:
    """What is read is what was written."""
    assert decode_memory(encode_memory(memory)) == memory


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"attempts": [], "progress": {}, "reported": {}}', b"\xff"],
)
def test_anything_else_is_a_value_error(document: bytes) -> None:
    """A file cut by a full disk starts the agent afresh, with a sentence."""
    with pytest.raises(ValueError, match=r"\w"):
        decode_memory(document)


@given(st.integers(0, 10_000))
def test_delays_double_between_their_bounds(failure_count: int) -> None:
    """They never exceed the bound, whatever the count."""
    delay = Backoff(5, 600).delay_seconds(failure_count)

    assert delay == 0 if failure_count == 0 else 5 <= delay <= 600


def test_every_effort_has_a_delay() -> None:
    """None is repeated without one."""
    assert set(BACKOFFS) == set(Effort)


def test_a_failure_delays_and_a_success_forgets() -> None:
    """The delay doubles with each failure in a row."""
    once = absorb(RetryMemory(), BUILD_FAILED, NOW)
    twice = absorb(once, BUILD_FAILED, NOW + 10)
    done = absorb(twice, Outcome(Effort.BUILD, "url"), NOW + 30)

    due = [
        memory.due_at(Effort.BUILD, "url", "", NOW + 11) - NOW
        for memory in (once, twice, done)
    ]
    assert due == [10, 30, 11]


def test_another_stamp_is_tried_at_once() -> None:
    """What failed was about something else."""
    failed = Outcome(Effort.INSTALL, "slappart0", "old", "broken")
    memory = absorb(RetryMemory(), failed, NOW)

    assert memory.due_at(Effort.INSTALL, "slappart0", "new", NOW) == NOW


def test_a_calendar_set_back_delays_nothing() -> None:
    """A failure in the future says nothing about when to try again."""
    memory = absorb(RetryMemory(), BUILD_FAILED, NOW)

    assert memory.due_at(Effort.BUILD, "url", "", NOW - 3600) == NOW - 3600


def test_stages_advance_only_towards_the_stamp_that_was_begun() -> None:
    """A promise of an older stamp proves nothing, and the last step forgets."""
    name = "slappart0"
    installed = absorb(RetryMemory(), Outcome(Effort.INSTALL, name, "a"), NOW)
    stale = absorb(installed, Outcome(Effort.PROVE, name, "b"), NOW)
    proved = absorb(installed, Outcome(Effort.PROVE, name, "a"), NOW)
    recorded = absorb(proved, Outcome(Effort.RECORD, name, "a"), NOW)

    assert [each.stage(name, "a") for each in (installed, stale, proved, recorded)] == [
        Stage.INSTALLED,
        Stage.INSTALLED,
        Stage.PROVED,
        None,
    ]


def test_revivals_slow_down_until_the_program_is_healthy() -> None:
    """Each counts though it succeeded; a long quiet time starts over."""
    memory = RetryMemory()
    for second in (0, 1, 3):
        memory = absorb(memory, Outcome(Effort.REVIVE, "slappart0"), NOW + second)
    due = memory.due_at(Effort.REVIVE, "slappart0", "", NOW + 3)
    later = NOW + 4 + REVIVAL_MEMORY_SECONDS
    memory = absorb(memory, Outcome(Effort.REVIVE, "slappart0"), later)

    assert due == NOW + 3 + 4
    assert memory.due_at(Effort.REVIVE, "slappart0", "", later) == later + 1


def test_what_is_wanted_no_more_is_forgotten() -> None:
    """The memory is bounded by what the master names."""
    memory = absorb(RetryMemory(), BUILD_FAILED, NOW)
    memory = absorb(memory, Outcome(Effort.REPORT, "slappart0", "started"), NOW)

    kept = retain(memory, ["slappart0"])

    assert kept == RetryMemory(reported={"slappart0": Reported("started", NOW)})


def test_what_waits_to_be_tried_again_is_known() -> None:
    """So that a pass that may not try yet does not say that all is well."""
    memory = absorb(RetryMemory(), BUILD_FAILED, NOW)
    once = Outcome(Effort.REVIVE, "slappart0")
    memory = absorb(memory, once, NOW)
    assert waiting_efforts(memory, NOW) == {Effort.BUILD}

    for _ in range(3):
        memory = absorb(memory, once, NOW)
    assert waiting_efforts(memory, NOW) == {Effort.BUILD, Effort.REVIVE}
