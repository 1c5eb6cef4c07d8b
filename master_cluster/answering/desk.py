"""Shell. What every answer is made with: the store, the calendar, chance."""

from __future__ import annotations

import string
from collections.abc import Awaitable, Callable, Collection, Mapping
from random import Random
from typing import TypeAlias, TypeVar

from master_cluster.authority.region import RegionHome
from master_cluster.contacts import Contacts
from master_cluster.store.attempt import Dated
from master_cluster.store.cloud import Cloud
from master_cluster.store.store import Store
from runtime.ports import IKeys, Runtime

RUN_ID_LENGTH = 32
RUN_ID_LETTERS = string.ascii_letters + string.digits

T = TypeVar("T")

AnswerTable: TypeAlias = Mapping[str, Callable[..., Awaitable[object]]]
"""What answers each method; called with the arguments of the call, by name."""


class Desk:
    """Shared by the answers of one master, as long as its process lives.

    ``run_id`` names that process; ``contacts`` are those that it had. ``home`` is where
    certificates are signed, ``None`` when the store has its own authority.
    """

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        default_computer_id: str | None,
        home: RegionHome | None = None,
    ) -> None:
        self.store = store
        self.runtime = runtime
        self.default_computer_id = default_computer_id
        self.home = home
        self.contacts = Contacts(runtime.calendar.now())
        letters = runtime.entropy.choices(RUN_ID_LETTERS, k=RUN_ID_LENGTH)
        self.run_id = "".join(letters)

    @property
    def entropy(self) -> Random:
        return self.runtime.entropy

    @property
    def keys(self) -> IKeys:
        return self.runtime.keys

    def now(self) -> float:
        return self.runtime.calendar.now()

    def listen(self, listener: Callable[[Collection[bytes] | None], None]) -> None:
        """Tell ``listener`` what is committed; see ``Store.listen``."""
        self.store.listen(listener)

    async def decide(self, decision: Callable[[Cloud, int], T]) -> T:
        """Commit a decision; see ``Store.decide``."""
        return await self.store.decide(decision)

    async def ask(self, question: Callable[[Cloud], T]) -> T:
        """Answer from one snapshot."""
        return await self.store.ask(question)

    async def read(self, question: Callable[..., T], *arguments: object) -> T:
        """Answer from one snapshot a question that has arguments."""
        return (await self.read_dated(question, *arguments)).answer

    async def read_dated(
        self, question: Callable[..., T], *arguments: object
    ) -> Dated[T]:
        """Answer it, and say what the answer knows."""
        return await self.store.ask_dated(lambda cloud: question(cloud, *arguments))
