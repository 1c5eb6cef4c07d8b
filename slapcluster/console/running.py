"""Shell. Runs what a person writes: line by line, or as a whole.

The value of an expression is shown, in either way. What the master refuses is a
sentence; a mistake in the code is Python's own traceback, without our frames.
"""

from __future__ import annotations

import ast
import builtins
import code
import linecache
import pprint
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

import click

from slap.errors import NotReady, SlapError
from slapcluster.documents import document_of
from slapcluster.outcomes import CommandFailed, ExitCode, judge
from slapcluster.printing import print_json, print_note

SCRIPT_NAME = "<console>"


def converse(names: dict[str, object], greeting: str) -> None:
    """Read and run lines until the person leaves."""
    try:
        import readline  # noqa: PLC0415 - not in every Python
        import rlcompleter  # noqa: PLC0415

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
    except ImportError:
        pass
    with _showing(is_json=False):
        Prompt(names, SCRIPT_NAME).interact(greeting, exitmsg="")


class Prompt(code.InteractiveConsole):
    """Python's prompt, where errors of the master are sentences."""

    def showtraceback(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, SlapError):
            self.write(f"{sentence_of(error).sentence}\n")
        else:
            super().showtraceback()


def run_script(names: dict[str, object], text: str, *, is_json: bool) -> int:
    """Run a whole script and return its exit code; the first error ends it."""
    lines = text.splitlines(keepends=True)
    linecache.cache[SCRIPT_NAME] = (len(text), None, lines, SCRIPT_NAME)
    try:
        body = ast.parse(text, SCRIPT_NAME).body
        compiled = compile(ast.Interactive(body), SCRIPT_NAME, "single")
    except (SyntaxError, ValueError) as error:
        print_note("".join(traceback.format_exception_only(error)).rstrip())
        return ExitCode.FAILED
    names["__name__"] = "__main__"
    try:
        with _showing(is_json=is_json):
            exec(compiled, names)  # noqa: S102 - what the person wrote, as the person
    except SlapError as error:
        failed = sentence_of(error)
        place = f"line {_line_number(error)}: "
        raise CommandFailed(f"{place}{failed.sentence}", failed.exit_code) from error
    except Exception as error:  # noqa: BLE001 - the person's code may raise anything
        frames = _own_frames(error.__traceback__)
        shown = traceback.format_exception(type(error), error, frames)
        print_note("".join(shown).rstrip())
        return ExitCode.FAILED
    return ExitCode.DONE


def sentence_of(error: SlapError) -> CommandFailed:
    """What the person is told, in the words of a console."""
    if isinstance(error, NotReady):
        said = error.sentence.rstrip(". ")
        return CommandFailed(
            f"Accepted, not there yet: {said}. The same line again asks again.",
            ExitCode.PENDING,
        )
    return judge(error)


@contextmanager
def _showing(*, is_json: bool) -> Iterator[None]:
    before: Callable[[object], object] = sys.displayhook

    def display(value: object) -> None:
        if value is None:
            return
        builtins._ = value  # type: ignore[attr-defined] # as Python's own prompt does
        if is_json:
            print_json(_document(value))
        else:
            click.echo(_text(value))

    sys.displayhook = display
    try:
        yield
    finally:
        sys.displayhook = before


def _text(value: object) -> str:
    if isinstance(value, str | bytes):
        return repr(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return pprint.pformat(value)
    return str(value)


def _document(value: object) -> object:
    if hasattr(value, "document"):
        return document_of(value.document())
    if isinstance(value, Mapping):
        return {str(key): _document(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_document(item) for item in value]
    found = document_of(value)
    is_json_value = found is None or isinstance(found, str | int | float | dict | list)
    return found if is_json_value else repr(value)


def _own_frames(frames: TracebackType | None) -> TracebackType | None:
    while frames and frames.tb_frame.f_code.co_filename != SCRIPT_NAME:
        frames = frames.tb_next
    return frames


def _line_number(error: Exception) -> int:
    frames = _own_frames(error.__traceback__)
    return frames.tb_lineno if frames else 1
