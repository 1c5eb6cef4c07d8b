"""Core. What `slapcluster node examine` finds out about its computer.

Its JSON is read by the doctor of another version too: keys are added, never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping

import cattrs
from attrs import field, frozen

LISTENERS_MAX = 200
"""Told of one computer: a region has four, and an entry for each program elsewhere."""


@frozen
class DiskFound:
    """The file system on which a directory is, or would be made.

    ``median_seconds`` and ``worst_seconds`` are of writes of 4 kB that were flushed;
    ``None`` where none could be tried, and ``trouble`` says why.
    """

    path: str
    free_bytes: int
    file_count_free: int | None = None
    median_seconds: float | None = None
    worst_seconds: float | None = None
    trouble: str = ""


@frozen
class Listener:
    """Who listens at a port; ``is_own`` when a program of this agent does."""

    host: str
    port: int
    program: str = ""
    is_own: bool = False


@frozen
class Examination:
    """What is so on one computer. ``now`` is in seconds since 1970.

    ``settings_trouble`` is why the settings are of no use; then the rest is of those
    that `node join` writes. ``stunnel`` is the first line that it says of its version,
    ``""`` where there is none.
    """

    now: float
    version: str
    settings: str
    software: DiskFound
    instances: DiskFound
    partition_count: int
    settings_trouble: str = ""
    computer_id: str = ""
    agent: int | None = None
    stunnel: str = ""
    addresses: tuple[str, ...] = ()
    network_trouble: str = ""
    listeners: tuple[Listener, ...] = field(default=())


class NotUnderstood(ValueError):
    """An answer that is no examination; the sentence says how."""


def read_examination(document: object) -> Examination:
    """Read what another computer answered; what is not known here is passed over."""
    if not isinstance(document, Mapping):
        raise NotUnderstood("it is no object of JSON")
    try:
        return cattrs.Converter().structure(document, Examination)
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        said = "; ".join(cattrs.transform_error(error)) or str(error)
        raise NotUnderstood(f"another version answers, it seems: {said}") from error
