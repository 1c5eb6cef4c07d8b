"""Core. What a person may tell programs."""

from __future__ import annotations

from enum import StrEnum


class Verb(StrEnum):
    """What programs are told."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
