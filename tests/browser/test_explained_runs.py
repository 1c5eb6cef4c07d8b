"""The page of a run in a real browser, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from labsim.checkers.table import CHECKERS
from labsim.checkers.violation import Bounds
from labsim.report.page import explain
from tests.unit.labsim.runs import COLOURS, a_run, regions_of

VIOLATIONS = 6
LABELS = 176
"""Pixels to the left of the lanes."""

OPEN_SECONDS_MAX = 10
"""Of a page of 501 hosts, on a machine that does other things."""


@pytest.fixture(params=["light", "dark"])
def scheme(request) -> str:
    return request.param


@pytest.fixture
def page(browser: Browser, scheme: str) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1400, "height": 1000}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("request", lambda sent: wrong.append(sent.url))
    yield page
    context.close()
    assert [it for it in wrong if not it.startswith("file:")] == []


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 501 hosts."""
    regions = regions_of(3, 165)
    history = a_run(regions, 3600.0)
    violations = CHECKERS["partitions"](history, Bounds())[:VIOLATIONS]
    file = tmp_path_factory.mktemp("runs") / "run.html"
    file.write_text(
        explain(history, "a run of 501 hosts", regions, violations, colours=COLOURS)
    )
    return file


def colours_of(page: Page, canvas: str) -> int:
    """How many colours stand in a canvas: an empty one has a single one."""
    return page.evaluate(
        """name => {
          const canvas = document.getElementById(name);
          const {data} = canvas.getContext("2d").getImageData(
            0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }""",
        canvas,
    )


def test_a_run_is_drawn_soon(
    page: Page, file: Path, scheme: str, pictures: Path
) -> None:
    page.goto(file.as_uri())

    expect(page.locator("#window")).to_have_text("0:00:00.000 to 1:00:23.064")
    assert page.evaluate("performance.now()") < 1000 * OPEN_SECONDS_MAX
    assert colours_of(page, "overview") > 10
    assert colours_of(page, "drawing") > 10
    page.screenshot(path=pictures / f"run-{scheme}.png", full_page=True)


def test_a_violation_is_shown_where_it_happened(
    page: Page, file: Path, scheme: str, pictures: Path
) -> None:
    page.goto(file.as_uri())

    page.locator("[data-violation='0']").click()

    expect(page.locator("#window")).to_have_text("0:00:38.450 to 0:03:20.450")
    box = page.locator("#drawing").bounding_box()
    assert box is not None
    left = LABELS + (173.45 - 38.45) / 162 * (box["width"] - LABELS)
    page.mouse.move(box["x"] + left, box["y"] + 200)
    expect(page.locator("#hint")).to_contain_text("runs there since 173.45 s")
    page.screenshot(path=pictures / f"run-violation-{scheme}.png", full_page=True)


def test_all_hosts_of_all_regions_can_be_opened(
    page: Page, file: Path, scheme: str, pictures: Path
) -> None:
    page.goto(file.as_uri())
    closed = page.locator("#scroller").evaluate("it => it.scrollHeight")

    page.get_by_role("button", name="open all regions").click()
    opened = page.locator("#scroller").evaluate("it => it.scrollHeight")
    page.screenshot(path=pictures / f"run-open-{scheme}.png", full_page=True)
    page.locator("#find").fill("COMP-2-127")
    found = page.locator("#scroller").evaluate("it => it.scrollHeight")

    assert opened - closed > 480 * 7
    assert found < closed


def test_time_is_zoomed_and_moved(page: Page, file: Path) -> None:
    page.goto(file.as_uri())
    page.locator("#drawing").focus()

    page.keyboard.press("+")
    expect(page.locator("#window")).to_have_text("0:12:04.613 to 0:48:18.451")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#window")).to_have_text("0:16:36.343 to 0:52:50.181")
    page.keyboard.press("0")
    expect(page.locator("#window")).to_have_text("0:00:00.000 to 1:00:23.064")
