# ruff: noqa: E501 - one sentence of the page is one line
"""Core. The page that says which mutants are found, by whom and at what cost."""

from __future__ import annotations

from collections.abc import Iterable

from labsim.mutants.mutant import Mutant
from labsim.mutants.score import Score
from labsim.mutants.table import GROUPS

_HEAD = """# Mutants

Audience: who wants to know what the laboratory would notice.
A mutant is production code without one safeguard, changed when it is imported: see `labsim/mutants/`.
This page is written by `labsim score --page docs/protocols/mutants.md`; it was last played for {commit}.

*Trial* is what found it: a [scenario](scenarios.md), or a life of `labsim/lives/`.
*Seeds* are those that were played until then, the one that is known to find it first; each was played without the mutant too, and held.
{found} of {total} are found, in {cpu_seconds:.0f} s of CPU.
"""


def render_page(commit: str, scores: Iterable[Score]) -> str:
    by_name = {it.mutant: it for it in scores}
    found = sum(it.is_found for it in by_name.values())
    cpu_seconds = sum(it.cpu_seconds for it in by_name.values())
    parts = [
        _HEAD.format(
            commit=f"`{commit}`",
            found=found,
            total=len(by_name),
            cpu_seconds=cpu_seconds,
        )
    ]
    for title, mutants in GROUPS.items():
        rows = [_row(it, by_name[it.name]) for it in mutants if it.name in by_name]
        if rows:
            parts.append(
                f"\n## {title}\n\n"
                "| without it | why it matters | checker | trial | seeds | CPU s |\n"
                "| --- | --- | --- | --- | --- | --- |\n" + "".join(rows)
            )
    missed = [it for it in by_name.values() if not it.is_found]
    if missed:
        parts.append("\n## Not found yet\n\n")
        excuses = {it.name: it.excuse for group in GROUPS.values() for it in group}
        parts += [f"- {it.mutant}: {excuses[it.mutant]}\n" for it in missed]
    return "".join(parts)


def _row(mutant: Mutant, score: Score) -> str:
    finding = score.finding
    checker, trial = "not found", ", ".join(mutant.trials)
    if finding is not None:
        checker, trial = finding.checker or "", f"{finding.trial}, {finding.seed}"
    cells = (
        mutant.name,
        mutant.reason,
        checker,
        trial,
        str(len(score.attempts)),
        f"{score.cpu_seconds:g}",
    )
    return f"| {' | '.join(it.replace('|', '/') for it in cells)} |\n"
