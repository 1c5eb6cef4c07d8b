"""Core. Where releases are built from and what they may use of the disk."""

from __future__ import annotations

import math

from attrs import field, frozen

from slapgrid.settings import (
    NUMBER,
    PATHS,
    SIZE,
    Area,
    Key,
    Kind,
    is_positive,
)

#: What stock nodes keep free: a build that fills a disk breaks every instance.
FREE_BYTES_MIN_DEFAULT = 1000 * 1024**2
#: A build that hangs, or takes its two hours, does not keep all others waiting; more
#: would only share the cores that one build uses already.
PARALLEL_DEFAULT = 2
DAY_SECONDS = 86400.0
#: An operator who withdraws a release by mistake notices within a week.
RETENTION_DAYS_DEFAULT = 7.0


def _retention(text: str) -> float:
    days = float(text)
    return days * DAY_SECONDS if days >= 0 else math.inf


RETENTION = Kind("a number of days, or -1", _retention)


@frozen
class SoftwareSettings:
    free_bytes_min: int = FREE_BYTES_MIN_DEFAULT
    shared_part_directories: tuple[str, ...] = ()
    build_time_part_directories: tuple[str, ...] = ()
    retention_seconds: float = RETENTION_DAYS_DEFAULT * DAY_SECONDS
    parallel: int = field(default=PARALLEL_DEFAULT, validator=is_positive)

    @property
    def build_count_max(self) -> int:
        """How many releases are built at once.

        Two builds that make the same shared part would write into one directory, and
        recipes take no lock: where parts are shared, one is built after the other.
        """
        return 1 if self.shared_part_directories else self.parallel


AREA = Area(
    SoftwareSettings,
    (
        Key(
            "slapos",
            "software_min_free_space",
            "free_bytes_min",
            SIZE,
            "a release is not built when the disk has less free",
        ),
        Key(
            "slapos",
            "shared_part_list",
            "shared_part_directories",
            PATHS,
            "where releases share parts; the last directory is written",
        ),
        Key(
            "slapos",
            "build_time_part_list",
            "build_time_part_directories",
            PATHS,
            "where releases find parts that only builds need",
        ),
        Key(
            "slapos",
            "software_parallel",
            "parallel",
            NUMBER,
            "of ours: how many releases are built at once; one when parts are shared",
        ),
        Key(
            "slapos",
            "software_retention_days",
            "retention_seconds",
            RETENTION,
            "of ours: after so many days a release that nobody supplies or uses is "
            "removed; -1: never",
        ),
    ),
)
