"""Core. How long a promise may take."""

from __future__ import annotations

from attrs import field, frozen

from slapgrid.settings import SECONDS, Area, Key, is_positive

TIMEOUT_SECONDS_DEFAULT = 20.0


@frozen
class PromiseSettings:
    timeout_seconds: float = field(
        default=TIMEOUT_SECONDS_DEFAULT, validator=is_positive
    )


AREA = Area(
    PromiseSettings,
    (
        Key(
            "slapos",
            "promise_timeout",
            "timeout_seconds",
            SECONDS,
            "how long a promise may take; stock nodes read it and then use 20",
        ),
    ),
)
