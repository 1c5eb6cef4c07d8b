"""A master of its own for each test module, and the browser of the system."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import programs
from tests.browser.visitors import Cloud

OUR_COMMAND = "from slapcluster.cli import main; main()"

CHECKOUT = Path(__file__).parents[2]

START_SECONDS = 60


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    assert executable, "`make test-browser` installs chromium"
    # Its own sandbox is refused to root.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """``slapcluster proxy``, and a way to call it as computers do."""
    home = tmp_path_factory.mktemp("master")
    port = programs.free_port()
    argv = (
        *(sys.executable, "-c", OUR_COMMAND, "proxy"),
        *("--listen", f"127.0.0.1:{port}", "--store", f"file:{home}/state.zodb"),
    )
    with programs.running(argv, home / "master.log"):
        programs.eventually(
            lambda: programs.is_listening("127.0.0.1", port),
            START_SECONDS,
            "the master listens",
        )
        yield Cloud(f"http://127.0.0.1:{port}")


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without JavaScript, as the panel must be usable with."""
    context = browser.new_context(
        java_script_enabled=False,
        viewport={"width": 1200, "height": 900},
        color_scheme="light",
    )
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where pictures of the pages go, for a person to look at."""
    folder = CHECKOUT / ".make" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
