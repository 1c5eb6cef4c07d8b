"""What every test may use; the reactor is installed before anything imports one."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from runtime.reactor import install_reactor
from tests.order import deal
from tests.reactor import ReactorBench

REACTOR = install_reactor()

# A shell starts what runs in its background with Ctrl-C ignored, and nohup ignores
# SIGHUP: the programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says what else the machine does, not what the code does.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # Most of what a property refuses is found within ten; there are a hundred of them.
    max_examples=50,
)
# For `make soak CAMPAIGN=properties`.
settings.register_profile(
    "thorough", settings.get_profile("any machine"), max_examples=1000
)
settings.load_profile("any machine")

pytest_plugins = ("tests.capabilities",)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write transcripts anew; commit only changes that you understand and want",
    )


WORKERS_MAX = 4


def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores: of its time a test of processes waits a half."""
    return min(WORKERS_MAX, len(os.sched_getaffinity(0)) + 2)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what lasts longest, on every worker."""
    worker_count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))  # noqa: TID251
    items[:] = deal(items, lambda it: it.nodeid.partition("::")[0], worker_count)


def pytest_collection_finish() -> None:
    _freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What a module leaves, such as strategies that it drew from, is there to stay."""
    if nextitem is not None and nextitem.path != item.path:
        _freeze()


def _freeze() -> None:
    """Leave what is there out of each collection of garbage that follows.

    A world collects it when it ends, to hear of failures that nobody handled; with all
    tests imported, and what they keep, that took half a second or more each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def reactor_bench() -> Iterator[ReactorBench]:
    """The real reactor of this process; its threads end with the session."""
    bench = ReactorBench(REACTOR)
    yield bench
    REACTOR.fireSystemEvent("shutdown")
    REACTOR.runUntilCurrent()


@pytest.fixture
def run_real(reactor_bench: ReactorBench) -> ReactorBench:
    """``run_real(coroutine)`` runs it on the real reactor and gives its result.

    ``run_real.reactor`` is that reactor, for ``build_runtime``. What the coroutine
    leaves on it (delayed calls, sockets, unhandled failures) fails the test.
    """
    return reactor_bench
