"""Shell. Whether one seed makes one trace, in fresh interpreters with other hash seeds.

Each run writes its trace to its standard output. They are read side by side and
compared line by line as they come, so memory is bounded however long they are. The
first line that differs is told, with what came before it.
"""

from __future__ import annotations

import os
import subprocess  # noqa: TID251 - a hash seed is set when an interpreter starts
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Self

from attrs import frozen

CONTEXT_LINES = 20
"""What came before a difference: enough to see who was at work."""

HASH_SEEDS = ("0", "1", "2")
"""``0`` is none at all; the others are as good as any."""

LINE_BYTES_MAX = 64 * 1024
"""A longer line is cut there; no trace has one."""

ERROR_BYTES_MAX = 64 * 1024
"""The end of what a run that fails says."""


@frozen
class Divergence:
    """Two runs of one seed differ: from line ``number`` on, counted from 1.

    ``lines`` has what each of the hash seeds made of it, ``None`` when it had ended.
    """

    number: int
    before: tuple[str, ...]
    lines: dict[str, str | None]

    def __str__(self) -> str:
        return "\n".join(
            (
                f"the traces diverge at line {self.number}; before it:",
                *(f"    {line}" for line in self.before),
                *(
                    f"hash seed {seed}: {'(it had ended)' if line is None else line}"
                    for seed, line in self.lines.items()
                ),
            )
        )


@frozen
class Agreement:
    """All runs made the same trace, of so many lines."""

    line_count: int


class RunFailed(Exception):
    """A run ended with an error; the text says which and what it said."""


def verify_determinism(
    arguments: Sequence[str],
    hash_seeds: Sequence[str] = HASH_SEEDS,
    *,
    directory: str | None = None,
) -> Agreement | Divergence:
    """Run Python with these arguments once for each hash seed and compare the traces.

    ``arguments`` are what follows the interpreter, as ``-c`` and code, or ``-m`` and a
    module: it prints its trace, as ``print_trace`` does.
    """
    environments = {seed: _environment(seed) for seed in hash_seeds}
    with ExitStack() as stack:
        runs = {
            seed: stack.enter_context(_Run(arguments, environment, directory))
            for seed, environment in environments.items()
        }
        found = compare({seed: run.lines() for seed, run in runs.items()})
        for seed, run in runs.items():
            if isinstance(found, Agreement) or found.lines[seed] is None:
                run.check(seed)
        return found


def compare(traces: dict[str, Iterator[str]]) -> Agreement | Divergence:
    """Compare traces as they come; no more is kept than is shown."""
    before: deque[str] = deque(maxlen=CONTEXT_LINES)
    count = 0
    for lines in zip_longest(*traces.values()):
        count += 1
        if any(line != lines[0] for line in lines):
            return Divergence(
                count, tuple(before), dict(zip(traces, lines, strict=True))
            )
        before.append(lines[0])
    return Agreement(count)


def print_trace(line: str) -> None:
    """Give a line of a trace to whoever compares; ``World.follow`` takes it."""
    sys.stdout.write(line.replace("\n", "\\n") + "\n")


class _Run:
    """One interpreter that prints its trace."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        directory: str | None,
    ) -> None:
        # Not a pipe: one that nobody reads would fill, and the run would wait.
        self._said = TemporaryFile()  # noqa: SIM115 - closed at the exit
        self._process = subprocess.Popen(  # noqa: S603 - its caller says what runs
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment,
            cwd=directory,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def lines(self) -> Iterator[str]:
        pipe: IO[bytes] | None = self._process.stdout
        assert pipe is not None
        while line := pipe.readline(LINE_BYTES_MAX):
            yield line.decode(errors="replace").rstrip("\n")

    def check(self, seed: str) -> None:
        if self._process.wait() != 0:
            self._said.seek(-min(self._said.tell(), ERROR_BYTES_MAX), os.SEEK_END)
            said = self._said.read().decode(errors="replace")
            raise RunFailed(f"the run with hash seed {seed} failed:\n{said}")


def _environment(hash_seed: str) -> dict[str, str]:
    top = str(Path(__file__).parents[2])
    inherited = dict(os.environ)  # noqa: TID251 - what this interpreter was given
    path = [top, *(each for each in sys.path if each)]
    return {
        **inherited,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
    }
