"""The table at the end: how each module of NEO's own tests went."""

from __future__ import annotations

from typing import Any

import pytest

COLUMNS = "{:<32} {:>8} {:>6} {:>7} {:>9}  {}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: list[dict[str, Any]] = sorted(
        (
            dict(report.user_properties)
            for reports in terminalreporter.stats.values()
            for report in reports
            if getattr(report, "when", "") == "call" and report.user_properties
        ),
        key=lambda row: (row["module"], row["zodb"]),
    )
    if not rows:
        return
    write = terminalreporter.write_line
    write(COLUMNS.format("module", "ZODB", "tests", "expects", "failed", "which"))
    for row in rows:
        which = ", ".join(row["failed"])
        counts = row["tests"], row["expected"], len(row["failed"])
        write(COLUMNS.format(row["module"], row["zodb"], *counts, which))
