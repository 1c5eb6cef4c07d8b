"""What pages have a person type is taken by the command line; nothing of it is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePath

import click
import pytest

from slapcluster.cli import cli, slapgrid
from tests.source_tree import TOP, tracked_files

PROGRAMS = {"slapcluster": cli, "slapgrid": slapgrid}
WRAPPERS = {"sudo", "export", "nice", "exec"}

BLOCK = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`((?:bin/)?slap(?:cluster|grid) [^`]+)`")
OPTIONAL = re.compile(r"\[(--[^]]*)\]")
ASSIGNED = re.compile(r"[A-Za-z_]\w*=")
PUNCTUATION = frozenset("();<>|&")
PLACEHOLDER = re.compile(r"[A-Z][A-Z-]*|\.\.\.|\$.*")
"""What a person puts something else for; it has no type."""

PAGES = tuple(it for it in tracked_files() if it.endswith(".md"))


def commands_in(text: str) -> Iterator[tuple[str, ...]]:
    """The commands of ours in lines of a shell, also those that others are given."""
    for line in text.replace("\\\n", " ").splitlines():
        yield from _commands_of(line.removeprefix("$ "))


def _commands_of(line: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        # A text over several lines, such as a file that is written.
        return
    for quoted in words:
        _, opened, inner = quoted.partition("$(")
        if opened and " " in inner:
            yield from _commands_of(inner.rpartition(")")[0])
    segment: list[str] = []
    is_file = False
    for word in [*words, ";"]:
        if {*word} <= PUNCTUATION:
            is_file = {*word} <= {*"<>&"} and bool({*word} & {*"<>"})
            if not is_file:
                yield from _program_of(segment)
                segment = []
        elif is_file:
            is_file = False
        else:
            segment.append(word)


def _program_of(words: list[str]) -> Iterator[tuple[str, ...]]:
    while words and (ASSIGNED.match(words[0]) or words[0] in WRAPPERS):
        words = words[1:]
    if not words or PurePath(words[0]).name not in PROGRAMS:
        return
    yield (PurePath(words[0]).name, *words[1:])
    inner = [n for n, it in enumerate(words[1:], 1) if PurePath(it).name in PROGRAMS]
    if words[1:3] == ["play", "exec"] and inner:
        yield from _program_of(words[inner[0] :])


def refusal_of(words: tuple[str, ...], *, is_whole: bool = True) -> str:
    """Why the command line does not take a command; ``""`` when it does.

    Of one that is not whole, as sentences name commands, words may be left out.
    """
    command: click.Command = PROGRAMS[words[0]]
    context: click.Context | None = None
    rest = list(words[1:])
    try:
        while True:
            context = command.context_class(
                command, context, command.name, **command.context_settings
            )
            if rest and rest[0] in context.help_option_names:
                return ""
            values, rest, _ = command.make_parser(context).parse_args(rest)
            for parameter in command.get_params(context):
                _check(context, parameter, values.get(parameter.name))
            if not isinstance(command, click.Group):
                return f"{rest[0]} is one word too many" if rest else ""
            if not is_whole and PLACEHOLDER.fullmatch(" ".join(rest[:1])):
                return ""
            if not rest:
                is_one = command.invoke_without_command or not is_whole
                return "" if is_one else "which command?"
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command = found
    except (click.MissingParameter, click.BadOptionUsage) as error:
        return error.format_message() if is_whole else ""
    except click.UsageError as error:
        return error.format_message()


def _check(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Refuse what lacks, and what is of another type; files need not be there."""
    texts = value if isinstance(value, list | tuple) else (value,)
    typed = [it for it in texts if isinstance(it, str)]
    is_given = bool(typed) or isinstance(value, bool)
    if parameter.required and not is_given and not parameter.envvar:
        raise click.MissingParameter(ctx=context, param=parameter)
    if isinstance(parameter.type, click.Path | click.File):
        return
    for text in typed:
        if parameter.nargs == 1 and not PLACEHOLDER.fullmatch(text):
            parameter.type.convert(text, parameter, context)


def refusals(text: str, *, is_whole: bool) -> dict[str, str]:
    return {
        " ".join(words): refusal
        for words in commands_in(text)
        if (refusal := refusal_of(words, is_whole=is_whole))
    }


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_has_typed_is_taken(page: str) -> None:
    text = (TOP / page).read_text()
    blocks = "\n".join(BLOCK.findall(text))
    named = "\n".join(NAMED.findall(FENCED.sub("", text)))

    refused = {
        **refusals(blocks, is_whole=True),
        **refusals(OPTIONAL.sub(r"\1", named), is_whole=False),
    }

    assert refused == {}


def test_the_guide_is_read() -> None:
    """A fence of another form would hide a page from the test above."""
    (block_count, command_count) = (0, 0)
    for block in BLOCK.findall((TOP / "docs/guide.md").read_text()):
        block_count += 1
        command_count += len([*commands_in(block)])
    assert block_count >= 8
    assert command_count >= 20


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("slapcluster status", ""),
        ("$ slapgrid --cfg a.cfg status", ""),
        ("bin/slapcluster proxy --help  # words", ""),
        ("slapcluster statsu", "No such command 'statsu'"),
        ("slapcluster status || slapcluster frobnicate", "No such command"),
        ('A="$(slapcluster bootstrap C.toml --dyr-run | cat)"', "No such option"),
        ("A=$(slapcluster bootstrap C.toml --dyr-run)", "No such option"),
        ("sudo A=1 /usr/bin/slapcluster upgrade a b > log", "b is one word too many"),
        ("slapcluster upgrade --timeout soon", "Invalid value for '--timeout': 'soon'"),
        ("slapcluster upgrade --timeout SECONDS < log", ""),
        ("slapcluster recover", "Missing argument"),
        ("slapcluster replica forget", "Missing argument"),
        ("slapcluster replica", "which command?"),
        ("slapcluster play exec slapcluster statsu", "No such command 'statsu'"),
    ],
)
def test_what_is_wrong_is_found(line: str, refusal: str) -> None:
    found = next(iter(refusals(line, is_whole=True).values()), "")

    assert found.startswith(refusal)
    assert bool(found) is bool(refusal)


def test_a_sentence_may_leave_words_out() -> None:
    line = "slapcluster recover; slapcluster replica; slapcluster master --listen"
    assert refusals(line, is_whole=False) == {}
    assert refusals("slapcluster recover --yse", is_whole=False) != {}
