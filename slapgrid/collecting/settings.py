"""Core. How long measures are kept and how often disks are measured."""

from __future__ import annotations

from attrs import field, frozen

from slapgrid.settings import FLAG, NUMBER, SECONDS, Area, Key, is_positive

#: As stock nodes.
RETENTION_DAYS_DEFAULT = 15
#: Walking all files of a partition is dear: once a day, as stock nodes.
DISK_PERIOD_SECONDS_DEFAULT = 86400.0


@frozen
class CollectingSettings:
    retention_days: int = field(default=RETENTION_DAYS_DEFAULT, validator=is_positive)
    is_disk_measured: bool = True
    disk_period_seconds: float = field(
        default=DISK_PERIOD_SECONDS_DEFAULT, validator=is_positive
    )


AREA = Area(
    CollectingSettings,
    (
        Key(
            "slapos",
            "collect_cache",
            "retention_days",
            NUMBER,
            "how many days measures are kept that were reported",
        ),
        Key(
            "collect",
            "report_disk_usage",
            "is_disk_measured",
            FLAG,
            "measure what each partition has on disk",
        ),
        Key(
            "collect",
            "disk_snapshot_time_cycle",
            "disk_period_seconds",
            SECONDS,
            "how often that is measured",
        ),
    ),
)
