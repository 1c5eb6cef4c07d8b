"""Core. The lines of a program that says them piece by piece."""

from __future__ import annotations

from attrs import define


@define
class Lines:
    """What was said of a line that has not ended yet."""

    _rest: bytes = b""

    def take(self, output: bytes) -> list[str]:
        """Return the lines that end in a piece of output."""
        *lines, self._rest = (self._rest + output).split(b"\n")
        return [line.decode(errors="replace") for line in lines]
