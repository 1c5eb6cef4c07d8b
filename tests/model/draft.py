"""A world that a step is changing."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from tests.model.world import (
    GONE,
    OPERATING,
    Bits,
    Numbers,
    Packet,
    Primary,
    Scope,
    Shared,
    Storage,
    World,
    cut_off,
    places,
)


@define(eq=False)
class Draft:
    """A world that a step is changing; ``told`` says how, if asked to."""

    scope: Scope
    numbers: Numbers
    storage_numbers: list[int]
    primary_numbers: list[int]
    shared: Shared
    is_telling: bool
    told: list[str] = field(factory=list)

    def storage(self, place: int) -> Storage:
        number = self.storage_numbers[place]
        found: Storage = self.numbers.storages.by_number[number]
        return found

    def primary(self, master: int) -> Primary:
        number = self.primary_numbers[master]
        found: Primary = self.numbers.primaries.by_number[number]
        return found

    def put(self, place: int, storage: Storage) -> None:
        self.storage_numbers[place] = self.numbers.storages[storage]

    def set(self, master: int, **values: Any) -> None:
        primary = self.primary(master)._replace(**values)
        self.primary_numbers[master] = self.numbers.primaries[primary]

    def share(self, **values: Any) -> None:
        self.shared = self.shared._replace(**values)

    def trade(self, number: int, **values: Any) -> None:
        """Change what is known of a transaction."""
        listed = list(self.shared.transactions)
        listed[number] = listed[number]._replace(**values)
        self.share(transactions=tuple(listed))

    def send(self, places_: Bits, *packets: Packet) -> None:
        for place in places(places_):
            storage = self.storage(place)
            self.put(place, storage._replace(queue=storage.queue + packets))

    def live(self, master: int) -> Bits:
        """Return who is connected to a neo_master, as both sides see it."""
        found = 0
        for place in places(self.primary(master).connected):
            if self.storage(place).primary == master:
                found |= 1 << place
        return found

    def let_go(self, place: int) -> None:
        """Leave a storage node alone with what was sent to it."""
        storage = self.storage(place)
        if storage.queue:
            self.put(place, storage._replace(primary=GONE))
        else:
            self.put(place, cut_off(storage))

    def is_settled(self, place: int) -> bool:
        """Return whether a storage node committed all that it should by now.

        NEO's wait while one that they are asked for is locked.
        """
        storage = self.storage(place)
        locked = storage.disk.votes & self.shared.acknowledged
        return storage.stage == OPERATING and not locked

    def tell(self, master: int, what: str) -> None:
        if self.is_telling:
            self.told.append(f"-- M{master} e{self.primary(master).epoch:<2} {what}")

    def tell_storage(self, place: int, what: str) -> None:
        if self.is_telling:
            region = self.scope.regions[place]
            epoch = (self.storage(place).disk.table or (0,))[0]
            self.told.append(f"r{region} S{place} e{epoch:<2} {what}")

    def done(self) -> World:
        return (
            *self.storage_numbers,
            *self.primary_numbers,
            self.numbers.shareds[self.shared],
        )
