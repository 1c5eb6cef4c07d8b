"""The panel of a real mini-master in a real browser, without JavaScript."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from slap import calls
from slap.model import RequestedState
from slap.reports import TreeReport
from tests.browser.visitors import Cloud
from tests.builders import COMPUTER_ID, SOFTWARE_RELEASE_URL

PAGES = {
    "overview": "/panel/",
    "computers": "/panel/computers",
    "computer": f"/panel/computer?computer_id={COMPUTER_ID}",
    "trees": "/panel/trees",
    "tree": "/panel/tree?title=shop",
    "instance": "/panel/instance?tree=shop&title=database",
    "why": "/panel/why?title=nowhere",
    "request": "/panel/request",
    "change": "/panel/change?title=shop",
    "change-json": "/panel/change?title=shop&shape=object",
    "destroy": "/panel/destroy?title=shop",
    "remove": f"/panel/remove?computer_id={COMPUTER_ID}&url={SOFTWARE_RELEASE_URL}",
    "not-found": "/panel/nothing",
}

REFLOW_WIDTH = 320
"""Also a page of 640 at a zoom of 200 %, and one of 1280 at 400 %."""

CONTRAST_MIN = 4.5
"""What WCAG AA asks of texts."""

WORST_CONTRAST = """() => {
  const canvas = document.createElement("canvas")
    .getContext("2d", {willReadFrequently: true});
  const rgb = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = colour => rgb(colour).slice(0, 3)
    .map(it => it / 255)
    .map(it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
    .reduce((sum, it, i) => sum + it * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let it = element; it; it = it.parentElement) {
      const colour = getComputedStyle(it).backgroundColor;
      if (rgb(colour)[3] === 255) return colour;
    }
    return "white";
  };
  let worst = [21, ""];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest(":disabled")) continue;
    const both = [light(getComputedStyle(element).color), light(ground(element))];
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (contrast < worst[0]) worst = [contrast, element.outerHTML.slice(0, 200)];
  }
  return worst;
}"""

OVERFLOW = """() => document.documentElement.scrollWidth - window.innerWidth"""


@pytest.fixture(scope="module", autouse=True)
def populated(cloud: Cloud) -> None:
    cloud.populate()


def parameters_of(cloud: Cloud, title: str) -> dict[str, str]:
    tree = cloud.perform(calls.get_tree_report(title))
    assert isinstance(tree, TreeReport)
    return dict(tree.instances[0].parameters)


def press(page: Page, name: str) -> None:
    """Press the button that is seen, not the one that the Enter key means."""
    page.get_by_role("button", name=name, exact=True).click()


def test_a_person_requests_changes_and_destroys(cloud: Cloud, page: Page) -> None:
    page.goto(cloud.url)
    page.get_by_role("link", name="Request an instance").first.click()
    page.get_by_label("Title").fill("blog <1>")
    page.get_by_label("Software release").fill(SOFTWARE_RELEASE_URL)
    page.locator("#name_0").fill("words")
    page.locator("#value_0").fill("\n<b>two</b>\nlines & more")
    press(page, "Request")
    expect(page.get_by_role("status")).to_contain_text("The instance is requested.")
    expect(page.get_by_role("heading", level=1)).to_contain_text("blog <1>")
    words = {"words": "\n<b>two</b>\nlines & more"}
    assert parameters_of(cloud, "blog <1>") == words

    page.get_by_role("link", name="Change").click()
    press(page, "Save")
    expect(page.get_by_role("status")).to_contain_text("nothing changed")
    assert parameters_of(cloud, "blog <1>") == words

    press(page, "Stop")
    expect(page.get_by_role("status")).to_contain_text("Stopping is requested.")
    page.get_by_role("link", name="Destroy").click()
    press(page, "Destroy blog <1>")
    expect(page.locator("main")).to_contain_text("This tree is being destroyed")


def test_a_mistake_is_shown_at_its_field_and_nothing_is_lost(cloud, page) -> None:
    page.goto(f"{cloud.url}/panel/request")
    page.get_by_label("Title").fill("mistaken")
    page.get_by_label("Software release").fill("no address")
    page.locator("#value_2").fill("alone")
    press(page, "Request")

    release = page.get_by_label("Software release")
    expect(page.locator("#software_release_url-fault")).to_contain_text("not an")
    expect(release).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Title")).to_have_value("mistaken")
    expect(page.locator("#value_0")).to_have_value("alone")


def test_two_people_do_not_overwrite_each_other(cloud, page, pictures: Path) -> None:
    cloud.request("both", parameters={"colour": "red", "size": "1"})
    page.goto(f"{cloud.url}/panel/change?title=both")
    cloud.request("both", parameters={"colour": "green", "size": "1"})
    page.locator("#value_0").fill("blue")
    press(page, "Save")

    expect(page.get_by_role("alert")).to_contain_text("somebody else changed")
    expect(page.get_by_role("row", name="parameter colour")).to_contain_text("green")
    assert parameters_of(cloud, "both")["colour"] == "green"
    page.screenshot(path=pictures / "conflict.png", full_page=True)
    press(page, "Save")
    assert parameters_of(cloud, "both")["colour"] == "blue"


def test_a_release_is_supplied_and_removed(cloud: Cloud, page: Page) -> None:
    page.goto(f"{cloud.url}/panel/computer?computer_id=COMP-2")
    page.get_by_label("Supply a release").fill("https://other.example/software.cfg")
    page.keyboard.press("Enter")
    row = page.get_by_role("row", name="https://other.example/software.cfg")
    expect(row).to_contain_text("nothing heard")
    page.get_by_role("link", name="Remove https://other.example/").click()
    press(page, "Remove the release")
    expect(row).to_contain_text("to be removed")


def test_the_log_of_a_failure_and_a_missing_place_are_explained(cloud, page) -> None:
    page.goto(f"{cloud.url}/panel/tree?title=shop")
    expect(page.locator("main")).to_contain_text("taken by <another program>")
    expect(page.get_by_role("row", name="database").first).to_contain_text("failing")
    page.goto(f"{cloud.url}/panel/")
    page.get_by_role("link", name="why nowhere has no place").click()
    expect(page.locator("main")).to_contain_text("none of")


def test_the_keyboard_alone_is_enough(cloud: Cloud, page: Page) -> None:
    cloud.request("keys")
    page.goto(f"{cloud.url}/panel/destroy?title=keys")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Destroy keys")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("destruction is requested")


def test_a_page_elsewhere_cannot_send_our_forms(cloud, page, tmp_path) -> None:
    cloud.request("target")
    page.goto(f"{cloud.url}/panel/tree?title=target")
    trap = tmp_path / "trap.html"
    trap.write_text(
        f'<form method="post" action="{cloud.url}/panel/destroy">'
        '<input name="title" value="target"><button>win</button></form>'
    )
    page.goto(f"file://{trap}")
    press(page, "win")

    expect(page.get_by_role("alert")).to_contain_text("a page of another address")
    tree = cloud.perform(calls.get_tree_report("target"))
    assert isinstance(tree, TreeReport)
    assert tree.instances[0].requested_state == RequestedState.STARTED


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, REFLOW_WIDTH])
def test_every_page_can_be_read(
    browser: Browser, cloud: Cloud, pictures: Path, width: int, scheme: str
) -> None:
    """In both schemes, wide and narrow: enough contrast, nothing beside the screen.

    Scripts are on only for what looks at the pages; the pages have none.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda it: complaints.append(it.text))
    page.on("pageerror", lambda it: complaints.append(str(it)))
    flaws = []
    for name, path in PAGES.items():
        page.goto(f"{cloud.url}{path}")
        page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=True)
        contrast, where = page.evaluate(WORST_CONTRAST)
        if contrast < CONTRAST_MIN:
            flaws.append(f"{name}: contrast {contrast:.2f} in {where}")
        if page.evaluate(OVERFLOW) > 0:
            flaws.append(f"{name}: wider than {width}")
        marks = ("banner", "main", "contentinfo", "navigation")
        flaws += [
            f"{name}: no {it}" for it in marks if not page.get_by_role(it).count()
        ]
        assert page.evaluate("document.scripts.length") == 0
    context.close()

    assert flaws == []
    assert [it for it in complaints if "404" not in it] == []


def test_text_grows_to_twice_its_size(browser: Browser, cloud: Cloud) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    wide = []
    for name, path in PAGES.items():
        page.goto(f"{cloud.url}{path}")
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        if page.evaluate(OVERFLOW) > 0:
            wide.append(name)
    context.close()

    assert wide == []


def test_the_focus_is_seen(browser: Browser, cloud: Cloud) -> None:
    """Whatever the keyboard reaches has an outline then."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.goto(f"{cloud.url}{PAGES['change']}")
    outlines = []
    for _ in range(20):
        page.keyboard.press("Tab")
        outlines.append(
            page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        )
    context.close()

    assert set(outlines) == {"solid"}
