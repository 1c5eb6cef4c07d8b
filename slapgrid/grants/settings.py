"""Core. Which kinds of grants the operator of this computer allows."""

from __future__ import annotations

from attrs import frozen

from slapgrid.settings import WORDS, Area, Key


@frozen
class GrantSettings:
    """``kinds`` are the names that stock nodes give their managers."""

    kinds: tuple[str, ...] = ()
    power_users: tuple[str, ...] = ()


AREA = Area(
    GrantSettings,
    (
        Key(
            "slapos",
            "manager_list",
            "kinds",
            WORDS,
            "what instances may ask beyond their partition",
        ),
        Key(
            "slapos",
            "power_user_list",
            "power_users",
            WORDS,
            "users whose programs may run on the exclusive processors",
        ),
    ),
)
