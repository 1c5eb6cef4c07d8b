"""Shell. A run as one page of HTML that needs no other file and no network.

What people named reaches the page as text: escaped in markup, and in the document
without a character that could end its element.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from math import isinf
from pathlib import Path
from string import Template

from labsim.checkers.recovery import distributions, measure_recoveries
from labsim.checkers.violation import Violation
from labsim.history import CallEnded, History, Outcome
from labsim.report.drawing import draw

HOME = Path(__file__).parent

UNSAFE = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

VIOLATIONS_MAX = 50
"""That are listed and marked: whoever looks for the cause looks at the first."""


def explain(
    history: History,
    title: str,
    regions: Mapping[str, Sequence[str]],
    violations: Sequence[Violation] = (),
    *,
    facts: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
) -> str:
    """Return the page; it draws a lane for each host and client.

    ``regions`` has their names, in the order in which they are shown; ``facts`` is what
    to say of the run, as its seed and the command that replays it; ``colours`` are
    those of the kinds of faults, as ``#rrggbb``.
    """
    shown = sorted(violations, key=lambda it: it.at)[:VIOLATIONS_MAX]
    document = json.dumps(
        draw(history, regions, shown, colours),
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return Template((HOME / "page.html").read_text()).substitute(
        title=escape(title),
        style=(HOME / "page.css").read_text(),
        script=(HOME / "page.js").read_text(),
        facts=_render_facts({**(facts or {}), **_count(history)}),
        violations=_render_violations(shown, len(violations)),
        recoveries=_render_recoveries(history),
        document=document.translate(UNSAFE),
    )


def _count(history: History) -> dict[str, str]:
    ended = [it.outcome for it in history if isinstance(it, CallEnded)]
    calls = [f"{ended.count(outcome):,} {outcome}" for outcome in Outcome]
    return {"calls": ", ".join(calls), "happenings": f"{len(history):,}"}


def _render_facts(facts: Mapping[str, str]) -> str:
    return "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>"
        for name, text in facts.items()
    )


def _render_violations(violations: Sequence[Violation], count: int) -> str:
    if not violations:
        return '<p class="fine">No violation was found.</p>'
    rows = "\n".join(
        f'<li><button data-violation="{number}"><b>{number + 1}</b>'
        f"<span><em>{escape(it.checker)}</em> {it.at:.3f} s</span>"
        f"<span>{escape(it.sentence)}</span></button></li>"
        for number, it in enumerate(violations)
    )
    more = count - len(violations)
    rest = f"<p>{more} more are not shown.</p>" if more > 0 else ""
    return f'<ol class="violations">{rows}</ol>{rest}'


def _render_recoveries(history: History) -> str:
    rows = "\n".join(
        f"<tr><th scope=row>{escape(kind)}</th><td>{it.count}</td>"
        f"<td>{_seconds(it.median)}</td><td>{_seconds(it.p99)}</td>"
        f"<td>{_seconds(it.worst)}</td></tr>"
        for kind, it in distributions(measure_recoveries(history)).items()
    )
    if not rows:
        return "<p>No fault was followed by a change that somebody asked for.</p>"
    return (
        "<table><thead><tr><th scope=col>after<th scope=col>times<th scope=col>median"
        "<th scope=col>p99<th scope=col>worst</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _seconds(seconds: float) -> str:
    return "never" if isinf(seconds) else f"{seconds:.3f} s"
