"""Recipe ``slapcluster:template``: a file, with the options of other sections in it.

Options:

``output``
    The path of the file. ``{digest}`` in it stands for a few digits that are others
    when the content is another one: agents restart a program when it has another
    name, not when the file of that name changes. Exposed with the digits in it.
``content`` or ``input``
    The text itself, or where it is: a path, or a URL outside of instances. In a file
    that is read, ``${section:option}`` is substituted and ``$$`` stands for ``$``, so
    the profile of an instance writes ``$${...}`` for what the instance substitutes.
``mode``
    Octal, 0644 by default; the umask applies.

The file is replaced only if it changes, so a service that watches it sees each content
once.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from zc.buildout.download import Download  # type: ignore[import-untyped]  # no types

from slapgrid.recipe.quoting import WrongReference, render, unquote
from slapgrid.recipe.section import Buildout, Options, Section
from slapgrid.recipe.writing import write_whole

INPUT_BYTES_MAX = 4 * 1024 * 1024
"""A profile or a script; larger things are wheels."""

DIGIT_COUNT = 8
"""Two contents of one file that meet in 32 bits cost a restart that does not happen."""


class Recipe:
    """Renders when the profile is read, so that buildout learns what it depends on."""

    def __init__(self, buildout: Buildout, name: str, options: Options) -> None:
        section = Section(name, options)
        output = section.text("output")
        if not Path(output).is_absolute():
            raise section.refusal("output", f"{output!r} is not absolute")
        self._mode = _read_mode(section)
        if ("input" in options) == ("content" in options):
            raise section.refusal("input", "give either input or content")
        if "content" in options:
            self._content = section.text("content").strip() + "\n"
        else:
            self._content = _render(buildout, section)
        # Buildout compares options to find out what changed; the text is not one.
        digest = hashlib.sha256(self._content.encode()).hexdigest()
        section.expose("content-sha256", digest)
        output = output.replace("{digest}", digest[:DIGIT_COUNT])
        section.expose("output", output)
        self._path = Path(output)

    def install(self) -> list[str]:
        if not self._is_written():
            write_whole(self._path, self._content, self._mode)
        return [str(self._path)]

    def update(self) -> None:
        self.install()

    def _is_written(self) -> bool:
        try:
            return self._path.read_bytes() == self._content.encode()
        except OSError:
            return False


def _read_mode(section: Section) -> int:
    word = section.text("mode", "0644")
    try:
        mode = int(word, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:  # noqa: PLR2004 - the permission bits
        raise section.refusal("mode", f"{word!r} is no octal number below 1000")
    return mode


def _render(buildout: Buildout, section: Section) -> str:
    def look_up(section_name: str, option: str) -> str:
        options = buildout[section_name] if section_name else section.options
        return unquote(options[option])

    source = section.text("input")
    try:
        return render(_read(buildout, source), look_up)
    except (OSError, UnicodeDecodeError, WrongReference) as error:
        raise section.refusal("input", f"{source}: {error}") from error


def _read(buildout: Buildout, source: str) -> str:
    path, is_temporary = Download(buildout["buildout"])(source)
    try:
        with Path(path).open("rb") as file:
            content = file.read(INPUT_BYTES_MAX + 1)
    finally:
        if is_temporary:
            Path(path).unlink()
    if len(content) > INPUT_BYTES_MAX:
        raise OSError(f"has more than {INPUT_BYTES_MAX} bytes")
    return content.decode()
