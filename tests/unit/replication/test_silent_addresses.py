"""Of the neo_masters that may be asked, those that were silent come last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import frozen
from neo.lib.app import BaseApplication  # type: ignore[import-untyped]
from neo.lib.connector import SocketConnector  # type: ignore[import-untyped]

ADDRESSES = (("::1", 1), ("::1", 2), ("::1", 3))


@frozen
class Known:
    address: tuple[str, int]

    def getAddress(self) -> tuple[str, int]:
        return self.address


NEO_MASTERS = [Known(it) for it in ADDRESSES]


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    yield
    SocketConnector.silent.clear()


def fall_silent(address: tuple[str, int]) -> None:
    connector = SocketConnector(address)
    connector.setSilent()
    connector.socket.close()


def test_who_was_silent_is_passed_by() -> None:
    application = BaseApplication()
    before = application.getNextMaster(NEO_MASTERS, 0)

    fall_silent(ADDRESSES[1])

    assert (before, application.getNextMaster(NEO_MASTERS, 0)) == (1, 2)
    application.close()


def test_when_all_were_silent_they_are_asked_in_turn() -> None:
    application = BaseApplication()

    for address in ADDRESSES:
        fall_silent(address)

    assert [application.getNextMaster(NEO_MASTERS, it) for it in range(3)] == [1, 2, 0]
    application.close()
