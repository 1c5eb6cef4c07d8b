"""Shell. What is written to the terminal: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys

import click

from slapcluster.tables import Table, fold_left, render_plain

SUBJECT_WIDTH_MAX = 30
"""What a bar is about: the end of an address tells releases apart."""


def print_tables(*tables: Table) -> None:
    """Write tables to standard output, with borders only when a person looks."""
    shown = [table for table in tables if table.lines]
    if not shown:
        return
    if sys.stdout.isatty():
        _print_rich(shown)
        return
    blocks = [
        (f"{table.title}\n" if len(shown) > 1 and table.title else "")
        + render_plain(table)
        for table in shown
    ]
    click.echo("\n\n".join(blocks))


def _print_rich(tables: list[Table]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - slow to load, for terminals only
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415

    console = Console()
    for table in tables:
        rich_table = RichTable(
            title=escape(table.title) or None, title_justify="left", box=SIMPLE_HEAD
        )
        for name in table.columns:
            rich_table.add_column(escape(name), overflow="fold")
        for row in table.lines:
            rich_table.add_row(*(escape(text) for text in row))
        console.print(rich_table)


def print_json(document: object) -> None:
    click.echo(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))


def print_note(sentence: str) -> None:
    """Say something to the person, beside the output."""
    click.echo(sentence, err=True)


class Progress:
    """What goes on while a command waits: a bar on a terminal, else lines.

    Silent when the output is JSON and nobody looks: a program reads both streams.
    """

    def __init__(self, subject: str, *, is_silent: bool) -> None:
        self._subject = subject
        self._is_silent = is_silent and not sys.stderr.isatty()
        self._last = ""
        self._bar = (
            _Bar(fold_left(subject, SUBJECT_WIDTH_MAX)) if sys.stderr.isatty() else None
        )

    def show(self, activity: str, done: int = 0, total: int = 0) -> None:
        """Say what goes on; ``total`` is 0 while the end is unknown."""
        if self._bar is not None:
            self._bar.show(activity, done, total)
        elif activity != self._last and not self._is_silent:
            print_note(f"{self._subject}: {activity}")
        self._last = activity

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Bar:
    """A bar that moves while the end is unknown, redrawn by the caller."""

    def __init__(self, subject: str) -> None:
        from rich.console import Console  # noqa: PLC0415 - slow, for terminals only
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            TextColumn,
            TimeElapsedColumn,
        )
        from rich.progress import Progress as RichProgress  # noqa: PLC0415

        # Redrawn by show() alone: a thread would outlive an interrupted reactor.
        self._progress = RichProgress(
            TextColumn("{task.fields[subject]}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[activity]}", markup=False),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task(
            "", total=None, subject=subject, activity=""
        )
        self._progress.start()

    def show(self, activity: str, done: int, total: int) -> None:
        self._progress.update(
            self._task,
            activity=activity,
            completed=done,
            total=total or None,
            refresh=True,
        )

    def close(self) -> None:
        self._progress.stop()
