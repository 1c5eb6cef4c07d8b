"""Core. Whether the agent starts supervisord."""

from __future__ import annotations

from attrs import frozen

from slapgrid.settings import NEGATED_FLAG, Area, Key


@frozen
class SupervisionSettings:
    is_supervisord_started: bool = True


AREA = Area(
    SupervisionSettings,
    (
        Key(
            "slapos",
            "forbid_supervisord_automatic_launch",
            "is_supervisord_started",
            NEGATED_FLAG,
            "do not start supervisord: something else does",
        ),
    ),
)
