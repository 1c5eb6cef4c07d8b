"""Core. Where the stock agent says that it runs."""

from __future__ import annotations

from attrs import field, frozen

from slapgrid.settings import PATH, Area, Key, is_absolute_or_empty

#: As stock nodes.
PIDFILE_SOFTWARE_DEFAULT = "/opt/slapos/slapgrid-sr.pid"
PIDFILE_INSTANCE_DEFAULT = "/opt/slapos/slapgrid-cp.pid"
PIDFILE_REPORT_DEFAULT = "/opt/slapos/slapgrid-ur.pid"


@frozen
class NeighbourSettings:
    pidfile_software: str = field(
        default=PIDFILE_SOFTWARE_DEFAULT, validator=is_absolute_or_empty
    )
    pidfile_instance: str = field(
        default=PIDFILE_INSTANCE_DEFAULT, validator=is_absolute_or_empty
    )
    pidfile_report: str = field(
        default=PIDFILE_REPORT_DEFAULT, validator=is_absolute_or_empty
    )

    @property
    def pidfiles(self) -> tuple[str, ...]:
        """All of them."""
        names = (self.pidfile_software, self.pidfile_instance, self.pidfile_report)
        return tuple(name for name in names if name)


AREA = Area(
    NeighbourSettings,
    tuple(
        Key(
            "slapos",
            name,
            name,
            PATH,
            "neither agent starts while the other's process stands there",
        )
        for name in ("pidfile_software", "pidfile_instance", "pidfile_report")
    ),
)
