"""The small worlds: those of ``make test``, and how they grow in ``make soak``."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from tests.model.world import Scope

THREE = {"regions": (1, 2, 3), "rows": (0b111,)}
"""A storage node in each region, with all."""

TWO_ROWS = {"regions": (1, 2, 3), "rows": (0b111, 0b111)}
"""The same with two neo_partitions."""

SHARED = {"regions": (1, 2, 3, 1), "rows": (0b0111, 0b1110)}
"""Two neo_partitions, and two storage nodes in the first region with one each."""

SIX = {"regions": (1, 2, 3, 1, 2, 3), "rows": (0b000111, 0b111000)}
"""Two neo_partitions, each with storage nodes of its own."""

TWINS = {"regions": (1, 1, 2, 3), "rows": (0b1111,)}
"""Two storage nodes in the first region, both with all."""

SPARE = {"regions": (1, 1, 2, 3), "rows": (0b1101,)}
"""The second storage node of the first region has nothing yet."""

FOUR = {"regions": (1, 2, 3, 4), "rows": (0b0111,)}
"""The storage node of a fourth region has nothing yet."""

ONE = (0b1,)
BOTH = (0b11,)
SKEWED = (100, 0)
"""The first neo_master's clock is ahead: its tids are above all of the other's."""

REMOVALS = ((0b1101,), (0b1110,))
"""An operator removes the one or the other of two in a region."""

REMOVED = {"is_idle": True, "touched": (), "layouts": REMOVALS, "changes": 2}

JOINED = {
    "is_idle": True,
    "touched": (),
    "layouts": ((0b1111,), (0b1110,)),
    "changes": 1,
}
"""A fourth region comes, and the first one goes."""


@frozen
class Small:
    """A scope by name: its shape, then how much may happen in it.

    Only what is not ``is_deep`` is part of ``make test``. ``prefix`` happens first.
    """

    name: str
    shape: dict[str, Any]
    cuts: int
    recoveries: int
    more: dict[str, Any]
    is_deep: bool = False
    prefix: str = ""

    def build(self) -> Scope:
        values = {"touched": ONE, **self.shape, **self.more}
        return Scope(
            name=self.name, cuts=self.cuts, recoveries=self.recoveries, **values
        )


SCOPES: dict[str, Small] = {
    small.name: small
    for small in (
        Small("calm", THREE, 2, 0, {}, is_deep=True),
        Small("short", THREE, 1, 1, {}, is_deep=True),
        Small("two elections", THREE, 2, 2, {}),
        Small("two transactions", THREE, 1, 1, {"touched": ONE * 2}),
        Small("skewed clocks", THREE, 1, 1, {"touched": ONE * 2, "offsets": SKEWED}),
        Small("two neo_partitions", TWO_ROWS, 1, 1, {"touched": BOTH}),
        Small("apart", SHARED, 1, 1, {"touched": BOTH}),
        Small("twins", TWINS, 1, 1, {}),
        Small("creation", THREE, 1, 2, {"is_created": True}),
        Small("empty disk", THREE, 2, 1, {"lost_disks": 0b111, "changes": 1}),
        Small("removal begun", TWINS, 1, 1, REMOVED),
        Small("removal", TWINS, 1, 2, REMOVED, is_deep=True),
        Small(
            "exchange",
            SPARE,
            1,
            2,
            {"is_idle": True, "touched": (), "layouts": ((0b1110,),), "changes": 2},
        ),
        Small(
            "addition",
            SPARE,
            0,
            2,
            {"is_idle": True, "layouts": ((0b1111,),), "changes": 1},
        ),
        Small("another region begun", FOUR, 1, 1, JOINED),
        Small("another region", FOUR, 1, 2, JOINED, is_deep=True),
        Small("order", SHARED, 1, 0, {"touched": (0b11, 0b1)}, is_deep=True),
        Small(
            "two tids",
            SHARED,
            1,
            0,
            {"touched": (0b11, 0b1)},
            prefix="begin M0 T0; begin M0 T1; finish T0; finish T1",
        ),
        Small(
            "in doubt",
            THREE,
            2,
            2,
            {},
            prefix="begin M0 T0; finish T0; deliver S0; stop M0; forget S1; forget S2",
        ),
        Small(
            "stale primary",
            THREE,
            3,
            1,
            {"lost_disks": 0b111, "changes": 1},
            prefix="leave S1; leave S2; go M1 S1 S2; "
            "deliver S1; deliver S2; deliver S1; deliver S2",
        ),
        Small(
            "last copy",
            THREE,
            2,
            3,
            {"is_idle": True, "touched": (), "layouts": ((0b110,),), "changes": 1},
            prefix="go M0 S0 S1; deliver S0; deliver S1; deliver S0; deliver S1; "
            "stop M0; go M0 S0 S2; "
            "deliver S0; deliver S2; deliver S0; deliver S2; "
            "connect S1 M0; deliver S1; stop M0; forget S1",
        ),
        Small(
            "disk lost in a change",
            SPARE,
            1,
            2,
            {"lost_disks": 0b0001, "layouts": ((0b1111,),), "changes": 2},
            prefix="begin M0 T0; finish T0; deliver S0; deliver S2; deliver S3; "
            "stop M0; forget S0; forget S2; forget S3",
        ),
        Small("three cuts", THREE, 3, 1, {}, is_deep=True),
        Small("three elections", THREE, 3, 3, {}, is_deep=True),
        Small("stale", THREE, 3, 1, {"lost_disks": 0b111, "changes": 1}, is_deep=True),
        Small("mixed", THREE, 3, 2, {"touched": ONE * 2}, is_deep=True),
        Small(
            "mixed skewed",
            THREE,
            3,
            2,
            {"touched": ONE * 2, "offsets": SKEWED},
            is_deep=True,
        ),
        Small("six", SIX, 1, 1, {"touched": BOTH}, is_deep=True),
        Small("six mixed", SIX, 2, 2, {"touched": (0b11, 0b1, 0b10)}, is_deep=True),
        Small("twins mixed", TWINS, 2, 2, {"touched": ONE * 2}, is_deep=True),
        Small(
            "removals",
            TWINS,
            2,
            3,
            {"is_idle": True, "layouts": REMOVALS, "changes": 2},
            is_deep=True,
        ),
        Small(
            "regions",
            FOUR,
            2,
            3,
            {
                "is_idle": True,
                "layouts": ((0b1111,), (0b1110,), (0b1101,)),
                "changes": 2,
            },
            is_deep=True,
        ),
        Small(
            "disks lost in changes",
            SPARE,
            1,
            2,
            {"lost_disks": 0b1101, "layouts": ((0b1111,), (0b1110,)), "changes": 2},
            is_deep=True,
        ),
        Small("creations", THREE, 3, 3, {"is_created": True}, is_deep=True),
    )
}
