"""Pruning: removing shared parts that nothing names any more."""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import frozen

from runtime.ports import Program, Runtime
from slapgrid.config import Config
from slapgrid.environment import clean_environment
from slapgrid.platform import Platform

#: Reading a large computer takes minutes, removing gigabytes too.
PRUNE_SECONDS_MAX = 6 * 3600.0
#: A line for each part; thousands of them.
OUTPUT_BYTES_MAX = 16 * 1024 * 1024


class PruningRefused(Exception):
    """Nothing can be pruned; the sentence says why."""


@frozen
class PrunedPart:
    """A shared part that nothing names: where it stood, and what it took."""

    path: str
    size_bytes: int


@frozen
class Pruning:
    """What was pruned, or would be."""

    parts: tuple[PrunedPart, ...]
    notes: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)


async def prune(
    config: Config,
    runtime: Runtime,
    platform: Platform,
    additional: Sequence[str] = (),
    *,
    is_dry: bool = False,
) -> Pruning:
    """Prune the last directory of shared parts; ``additional`` are software roots."""
    shared = config.software.shared_part_directories
    if not shared:
        raise PruningRefused("shared_part_list names no directory: nothing is shared")
    wanted = {
        "shared": shared,
        "software": [config.software_root, *additional],
        "instances": config.instance_root,
        "is_dry": is_dry,
    }
    ended = await runtime.processes.run(
        Program(
            (
                platform.python,
                "-I",
                platform.shim("prune_shim"),
                json.dumps(wanted),
            ),
            directory="/",
            environment=clean_environment("/"),
            timeout_seconds=PRUNE_SECONDS_MAX,
            output_bytes_max=OUTPUT_BYTES_MAX,
        )
    )
    parts, notes, rest = _read(ended.output.decode(errors="replace"))
    if not ended.is_success:
        raise PruningRefused("; ".join(notes) or rest or "pruning was ended")
    return Pruning(parts, notes)


def _read(output: str) -> tuple[tuple[PrunedPart, ...], tuple[str, ...], str]:
    parts, notes, rest = [], [], []
    for line in output.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            rest.append(line)
            continue
        if "part" in told:
            parts.append(PrunedPart(told["part"], told["bytes"]))
        else:
            notes.append(told["note"])
    return tuple(parts), tuple(notes), "\n".join(rest[-20:])
