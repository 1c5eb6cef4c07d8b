"""The stock programs beside ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import programs
from tests.interop.stock import stock_environment
from tests.interop.stock_cloud import OUR_COMMAND, Cloud, write_stock_configuration
from tests.stores import store_uri_of_program


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    slapos = stock_environment() / "slapos"
    port = programs.free_port()
    url = f"http://127.0.0.1:{port}/"
    cfg = write_stock_configuration(tmp_path, url, port)
    argv = [
        sys.executable,
        "-c",
        OUR_COMMAND,
        "proxy",
        "--cfg",
        str(cfg),
        *("--store", store_uri_of_program(f"file:{tmp_path}/state.zodb")),
    ]
    with programs.running(argv, tmp_path / "proxy.log"):
        programs.eventually(
            lambda: programs.is_listening("127.0.0.1", port), 20, "the mini-master"
        )
        yield Cloud(url, cfg, slapos)
