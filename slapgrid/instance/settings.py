"""Core. How partitions are processed, and again when."""

from __future__ import annotations

from attrs import field, frozen

from slapgrid.settings import (
    FLAG,
    NUMBER,
    PATH,
    SECONDS,
    SIZE,
    Area,
    Key,
    Kind,
    is_absolute_or_empty,
    is_positive,
)

#: What stock nodes keep free.
FREE_BYTES_MIN_DEFAULT = 1000 * 1024**2
#: A day, as stock nodes.
PERIODICITY_SECONDS_DEFAULT = 86400.0


@frozen
class InstanceSettings:
    """``timeout_seconds`` is ``None`` for the agent's own bound.

    Without a ``certificate_directory``, certificates of instances are not asked for.
    """

    periodicity_seconds: float = PERIODICITY_SECONDS_DEFAULT
    timeout_seconds: float | None = None
    free_bytes_min: int = FREE_BYTES_MIN_DEFAULT
    parallel_count: int = field(default=1, validator=is_positive)
    is_warm: bool = True
    certificate_directory: str = field(default="", validator=is_absolute_or_empty)


def _timeout(text: str) -> float | None:
    seconds = SECONDS.read(text)
    assert isinstance(seconds, float)
    if seconds < 0:
        raise ValueError(text)
    return seconds or None


AREA = Area(
    InstanceSettings,
    (
        Key(
            "slapos",
            "maximum_periodicity",
            "periodicity_seconds",
            SECONDS,
            "an unchanged partition is processed again after this; below 0 never",
        ),
        Key(
            "slapos",
            "partition_timeout",
            "timeout_seconds",
            Kind("seconds", _timeout),
            "how long the installation of an instance may take",
        ),
        Key(
            "slapos",
            "instance_min_free_space",
            "free_bytes_min",
            SIZE,
            "no instance is installed when the disk has less free",
        ),
        Key(
            "slapos",
            "certificate_repository_path",
            "certificate_directory",
            PATH,
            "where the certificate and key of each instance stand; without it "
            "instances are told those of the computer",
        ),
        Key(
            "slapos",
            "instance_parallel",
            "parallel_count",
            NUMBER,
            "of ours: how many instances are installed at a time",
        ),
        Key(
            "slapos",
            "instance_warm",
            "is_warm",
            FLAG,
            "of ours: install instances in forks of a process that has imported what "
            "their release needs",
        ),
    ),
)
