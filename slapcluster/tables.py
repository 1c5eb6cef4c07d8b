"""Core. Tables as values, and their plain rendering."""

from __future__ import annotations

from attrs import frozen

ABSENT = "-"
"""What stands for nothing, so that each line has the same number of words."""


@frozen
class Table:
    """Lines under the names of their columns; ``title`` is for people only."""

    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    title: str = ""

    def __attrs_post_init__(self) -> None:
        widths = {len(line) for line in self.lines}
        assert widths <= {len(self.columns)}, "a line of another width"


def cell(value: object) -> str:
    """Return a value as a person reads it."""
    if value is None or value == "":
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def line(*values: object) -> tuple[str, ...]:
    return tuple(cell(value) for value in values)


def render_plain(table: Table) -> str:
    """Return aligned columns without borders, never cut: for pipes and logs."""
    rows = (tuple(name.upper() for name in table.columns), *table.lines)
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            text.ljust(width) for text, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def fold(text: str, width_max: int) -> str:
    """Return the first line of a text, shortened to fit a column."""
    first = text.strip().partition("\n")[0]
    return first if len(first) <= width_max else first[: width_max - 1] + "…"


def fold_left(text: str, width_max: int) -> str:
    """Return the end of a text that is too long."""
    return text if len(text) <= width_max else "…" + text[1 - width_max :]
