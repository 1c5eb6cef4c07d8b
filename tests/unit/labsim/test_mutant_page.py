"""The page of mutants is that of the mutants that there are."""

from __future__ import annotations

from labsim.mutants.changing import TOP
from labsim.mutants.page import render_page
from labsim.mutants.score import Score
from labsim.mutants.table import MUTANTS


def test_the_page_has_all_mutants() -> None:
    """`labsim score --page docs/protocols/mutants.md` writes it."""
    page = (TOP / "docs" / "protocols" / "mutants.md").read_text()
    none = render_page("", [Score(it.name, (), is_found=False) for it in MUTANTS])

    def told(text: str) -> list[list[str]]:
        rows = [it.split(" | ")[:2] for it in text.splitlines() if it.startswith("| ")]
        return [it for it in rows if it[0] not in {"| ---", "| without it"}]

    assert told(page) == told(none)
