"""How far builds are, from what buildout prints."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

#: A line of a build that is longer says nothing to a person.
LINE_BYTES_MAX = 2000
#: The longest profiles have some hundred parts; a log is read by people.
LOG_LINES_MAX = 500
#: Quick parts, as those of a resumed build, share a line.
LOG_LINE_SECONDS_MIN = 1.0

#: By ``buildout_shim``, when buildout knows all parts: also those that others name.
_PART_COUNT = re.compile(rb"slapgrid: (\d{1,6}) parts\Z")
#: With a dot and one word: pip's lines begin in the same way.
_PART = re.compile(rb"(?:Installing|Updating) (\S+)\.\Z")
_STEPS = (b"Getting distribution for ", b"Got ", b"Downloading ")


@frozen
class BuildProgress:
    """What a build does now.

    ``part_number`` counts from 1 and is 0 before the first part, ``part_count`` is 0
    until it is known. ``step`` is the line that told.
    """

    software_release_url: str
    step: str
    step_count: int
    part: str = ""
    part_number: int = 0
    part_count: int = 0

    @property
    def sentence(self) -> str:
        """As people read it: ``3 of 12 parts: openssl``."""
        if not self.part:
            return self.step
        known = f" of {self.part_count}" if self.part_count else ""
        ending = "" if self.step.startswith(("Installing", "Updating")) else self.step
        return f"part {self.part_number}{known}: {self.part}" + (
            f": {ending}" if ending else ""
        )


def nobody_watches(_: BuildProgress) -> None:
    """For builds whose progress is no news."""


@define
class ProgressReader:
    """Finds the steps of buildout in its output, however that is cut in pieces."""

    software_release_url: str
    notify: Callable[[BuildProgress], None]
    step_count: int = 0
    part: str = ""
    part_number: int = 0
    part_count: int = 0
    _rest: bytes = field(default=b"", init=False)

    def add(self, content: bytes) -> None:
        *lines, rest = (self._rest + content).split(b"\n")
        self._rest = rest[:LINE_BYTES_MAX]
        for line in lines:
            self._read(line[:LINE_BYTES_MAX].rstrip())

    def _read(self, line: bytes) -> None:
        if (counted := _PART_COUNT.match(line)) is not None:
            self.part_count = int(counted[1])
            return
        if (begun := _PART.match(line)) is not None:
            self.part = begun[1].decode(errors="replace")
            self.part_number += 1
        elif not line.startswith(_STEPS):
            return
        self.step_count += 1
        self.notify(
            BuildProgress(
                self.software_release_url,
                line.decode(errors="replace"),
                self.step_count,
                self.part,
                self.part_number,
                max(self.part_count, self.part_number) if self.part_count else 0,
            )
        )


@define
class ProgressLog:
    """A line for each part of a build, within bounds."""

    clock: IReactorTime
    log: Logger
    _line_counts: dict[str, int] = field(factory=dict, init=False)
    _parts: dict[str, str] = field(factory=dict, init=False)
    _last_at: dict[str, float] = field(factory=dict, init=False)

    def show(self, progress: BuildProgress) -> None:
        url, now = progress.software_release_url, self.clock.seconds()
        if progress.step_count == 1:
            self.forget(url)
        if progress.part == self._parts.get(url):
            return
        self._parts[url] = progress.part
        count = self._line_counts.get(url, 0)
        is_soon = now - self._last_at.get(url, -LOG_LINE_SECONDS_MIN) < (
            LOG_LINE_SECONDS_MIN
        )
        if is_soon or count >= LOG_LINES_MAX:
            return
        self._line_counts[url], self._last_at[url] = count + 1, now
        self.log.info("building {url}: {sentence}", url=url, sentence=progress.sentence)

    def forget(self, url: str) -> None:
        """The build has ended, or another one begins."""
        for each in (self._line_counts, self._parts, self._last_at):
            each.pop(url, None)
