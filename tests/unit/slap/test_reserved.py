"""Parameters whose names the master needs for itself."""

from __future__ import annotations

import pytest

from slap.errors import BadRequest
from slap.reserved import RESERVED_PARAMETERS, SHARED_KEYS, check_parameters


@pytest.mark.parametrize(
    ("is_shared", "reserved"),
    [(False, RESERVED_PARAMETERS), (True, SHARED_KEYS | {"timestamp"})],
)
def test_every_reserved_name_is_refused(
    is_shared: bool, reserved: frozenset[str]
) -> None:
    refused = {}
    for name in reserved:
        with pytest.raises(BadRequest) as caught:
            check_parameters("xml", ["free", name], is_shared=is_shared)
        refused[name] = caught.value.sentence

    assert refused == {
        name: f"xml: the name {name!r} is reserved, choose another one"
        for name in reserved
    }


def test_other_names_are_free() -> None:
    check_parameters("xml", ["free", "slave_title"], is_shared=False)
    check_parameters("xml", ["free", "ip_list"], is_shared=True)
