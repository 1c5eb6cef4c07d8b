"""Recipe ``slapcluster:command``: a command whose answer other sections read.

Options:

``command``
    One argument a line; the first one is an absolute path.
``input``
    What the command reads from its standard input; nothing by default.

Exposed:

``json``
    The JSON object that the command writes, in one line.
``answer.<key>``
    Each text in it, if an option can hold its name and value.

It runs at each pass, so it must be one that may be done again, and is given up after
two minutes. When it fails, what it said is the error of the instance.
"""

from __future__ import annotations

import json
import os
import subprocess  # noqa: TID251 - buildout's process has no runtime
from collections.abc import Mapping

from slapgrid.recipe import documents
from slapgrid.recipe.section import Buildout, Options, Section

SECONDS_MAX = 120.0
"""A stunnel with hundreds of links takes ten seconds; the pass of an agent waits."""

ANSWER_BYTES_MAX = 4 * 1024 * 1024

ERROR_LENGTH_MAX = 2000
"""The end of what a command said: masters keep some kilobytes of an error."""


class Recipe:
    """Runs when the profile is read, because other sections read what it exposes."""

    def __init__(self, _: Buildout, name: str, options: Options) -> None:
        section = Section(name, options)
        argv = [line.strip() for line in section.text("command").splitlines()]
        argv = [line for line in argv if line]
        if not argv or not argv[0].startswith("/"):
            raise section.refusal("command", "begins with no absolute path")
        answer = _read(section, _run(section, argv, section.text("input", "")))
        section.expose("json", documents.encode(answer))
        for key, value in answer.items():
            if isinstance(value, str):
                section.expose_foreign(f"answer.{key}", value)

    def install(self) -> list[str]:
        return []

    def update(self) -> None:
        """Nothing that buildout could remove is on disk."""


def _run(section: Section, argv: list[str], text: str) -> bytes:
    # Of buildout's own environment nothing but the way to programs is passed on.
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}  # noqa: TID251 - as above
    try:
        ended = subprocess.run(  # noqa: S603 - the profile says what runs
            argv,
            input=text.encode(),
            capture_output=True,
            env=kept,
            timeout=SECONDS_MAX,
            check=False,
        )
    except OSError as error:
        raise section.refusal("command", f"{argv[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        sentence = f"{argv[0]} did not end within {SECONDS_MAX:g} s"
        raise section.refusal("command", sentence) from error
    if ended.returncode != 0:
        said = (ended.stderr or ended.stdout).decode(errors="replace").strip()
        raise section.refusal("command", said[-ERROR_LENGTH_MAX:] or "failed silently")
    return ended.stdout


def _read(section: Section, output: bytes) -> Mapping[str, object]:
    if len(output) > ANSWER_BYTES_MAX:
        raise section.refusal("command", f"wrote more than {ANSWER_BYTES_MAX} bytes")
    try:
        answer = json.loads(output)
    except ValueError as error:
        raise section.refusal("command", f"wrote no JSON: {error}") from error
    if not isinstance(answer, dict):
        raise section.refusal("command", "wrote JSON that is no object")
    return answer
