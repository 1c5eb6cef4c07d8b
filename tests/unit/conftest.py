"""What tests of a whole master start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slap import calls
from tests.builders import COMPUTER_ID, a_computer_definition
from tests.unit.master_cluster.benches import WebBench


@pytest.fixture
def bench() -> Iterator[WebBench]:
    """A master in a world, with a computer of three partitions."""
    bench = WebBench(default_computer_id=COMPUTER_ID)
    bench.perform(calls.define_computer(a_computer_definition(3)))
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def lasting_bench() -> Iterator[WebBench]:
    """An empty master for calls that come to nothing, drawn ones by the hundred."""
    bench = WebBench()
    yield bench
    bench.close()
