"""Core. Where releases are built from and what they may use of the disk."""

from __future__ import annotations

from attrs import frozen

from slapgrid.settings import PATHS, SIZE, Area, Key

#: What stock nodes keep free: a build that fills a disk breaks every instance.
FREE_BYTES_MIN_DEFAULT = 1000 * 1024**2


@frozen
class SoftwareSettings:
    free_bytes_min: int = FREE_BYTES_MIN_DEFAULT
    shared_part_directories: tuple[str, ...] = ()
    build_time_part_directories: tuple[str, ...] = ()


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
    ),
)
