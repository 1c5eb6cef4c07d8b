"""Two runs of one seed are the same, and where they are not is told."""

from __future__ import annotations

import pytest

from labsim.world.determinism import (
    CONTEXT_LINES,
    Agreement,
    Divergence,
    RunFailed,
    compare,
    verify_determinism,
)

A_WORLD = """
from labsim.world.determinism import print_trace
from labsim.world.world import World

world = World(7)
world.follow(print_trace)
hosts = [world.host(f"host {number}") for number in range(20)]
for host in hosts:
    host.runtime.file_tree("/").write("file", host.name.encode())
    host.runtime.clock.callLater(host.runtime.entropy.uniform(0, 9), host.crash)
%s
world.run_for(10)
"""

A_LEAK = """
from twisted.internet.task import deferLater

async def leak():
    for name in {"one", "other", "third", "fourth", "fifth", "sixth"}:
        await deferLater(hosts[0].runtime.clock, 0)
        world.record(name, "leak", "")

from twisted.internet.defer import Deferred
world.clock.call_at(5, lambda: Deferred.fromCoroutine(leak()) and None)
"""


def verify(addition="", hash_seeds=("0", "1", "2", "3")):
    return verify_determinism(("-c", A_WORLD % addition), hash_seeds)


def test_a_world_makes_one_trace_whatever_the_hash_seed_is():
    found = verify()

    assert isinstance(found, Agreement)
    assert found.line_count == 60


def test_a_leak_is_found_where_it_begins():
    found = verify(A_LEAK)

    assert isinstance(found, Divergence)
    before, lines = found.before, found.lines
    assert len(before) == CONTEXT_LINES
    assert not any("leak" in line for line in before)
    assert before[-1] < "5."
    assert all(line.startswith("5.000000000 ") for line in lines.values())
    assert len(set(lines.values())) > 1
    assert f"diverge at line {found.number}" in str(found)
    assert "hash seed 3: 5.000000000" in str(found)


def test_a_run_that_fails_is_no_divergence():
    with pytest.raises(RunFailed, match="the reason of it"):
        verify("raise ValueError('the reason of it')")


def test_a_run_that_says_much_and_fails_is_not_waited_for_ever():
    with pytest.raises(RunFailed, match="the reason of it"):
        verify("import sys; sys.stderr.write('x' * 10**6); exit('the reason of it')")


def test_a_trace_that_ends_before_another_diverges_there():
    traces = {"0": iter(["a", "b"]), "1": iter(["a", "b", "c"])}
    found = compare(traces)

    assert found == Divergence(3, ("a", "b"), {"0": None, "1": "c"})
    assert "(it had ended)" in str(found)


def test_no_more_of_a_long_trace_is_kept_than_is_shown():
    def trace(last):
        yield from (f"line {number}" for number in range(200_000))
        yield last

    found = compare({"0": trace("one"), "1": trace("other")})

    assert isinstance(found, Divergence)
    assert (found.number, len(found.before)) == (200_001, CONTEXT_LINES)
