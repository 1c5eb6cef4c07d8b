"""The tests of the mini-master once more, with its state in three regions."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import programs
from tests.interop.stock import CHECKOUT
from tests.stores import STORE_VARIABLE

BIN = CHECKOUT / "bin"
PATH = "/usr/local/bin:/usr/bin:/bin"
COMMAND_SECONDS_MAX = 120
TESTS_SECONDS_MAX = 600
REGIONS = ("paris", "lyon", "tokyo")
UNIT = "tests/unit/master_cluster"

MODULES = {
    # A master in a world, asked by HTTP.
    "calls": (
        *(f"{UNIT}/test_{it}.py" for it in ("web", "rpc", "every_call", "repeating")),
        *(f"{UNIT}/test_{it}.py" for it in ("operations", "poll_pages", "products")),
    ),
    "decisions": tuple(
        f"{UNIT}/test_{it}.py"
        for it in (
            *("decisions", "provisioning", "registering", "hateoas"),
            *("statuses", "usage", "release"),
        )
    ),
    # Programs of the master, and those of others that ask it.
    "programs": (
        "tests/interop/test_stock_client.py",
        "tests/interop/test_console.py",
        "tests/hostile/test_connections.py",
    ),
}

TOO_LONG = "bounded or so_many or no_order"
"""Hundreds of commits one after the other, each of some twenty milliseconds."""


def told(verb: str, directory: Path, *options: str) -> dict[str, Any]:
    argv = (str(BIN / "slapcluster"), "--output", "json", "storage", verb)
    done = programs.run(
        (*argv, str(directory), *options), timeout_seconds=COMMAND_SECONDS_MAX
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("regions") / "neo"
    options = [word for it in REGIONS for word in ("--region", it)]
    try:
        told("create", directory, *options)
        yield directory
    finally:
        for pid_file in directory.glob("*/supervisord.pid"):
            os.kill(int(pid_file.read_text()), signal.SIGTERM)


@pytest.mark.parametrize("name", MODULES)
def test_what_a_mini_master_does_it_does_in_three_regions(
    directory: Path, name: str, tmp_path: Path
) -> None:
    before = told("status", directory)
    argv = (str(BIN / "pytest"), *MODULES[name], "-q", "-k", f"not ({TOO_LONG})")
    # A client of NEO ends its thread by SystemExit, which Python passes over.
    argv += ("-W", "ignore::pytest.PytestUnhandledThreadExceptionWarning")
    argv += ("-p", "no:cacheprovider", "--basetemp", str(tmp_path / "tests"))

    done = programs.run(
        argv,
        {"PATH": PATH, STORE_VARIABLE: before["store_uri"]},
        timeout_seconds=TESTS_SECONDS_MAX,
        directory=CHECKOUT,
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    after = told("status", directory)
    assert after["last_transaction"] > before["last_transaction"]
    assert after["standing"] == "whole"
