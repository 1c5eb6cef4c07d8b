"""Shell. One transaction of the store: what it reads is of one snapshot.

Its first half decides, its second half commits or abandons; both are of one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import transaction  # type: ignore[import-untyped]
from attrs import frozen
from ZODB.DB import DB  # type: ignore[import-untyped]

from master_cluster.store.callers import Caller
from master_cluster.store.cloud import Cloud
from master_cluster.store.marks import Mark
from master_cluster.store.outages import InDoubt
from master_cluster.store.schema import ROOT_KEY, Stored
from slap.errors import Overtaken
from slap.freshness import UNSEEN

T = TypeVar("T")


@frozen
class Dated(Generic[T]):
    """An answer, and the id of the last transaction that it knows.

    Ids grow, so whoever knows a later one knows this answer too. For a decision it is
    its own commit, or the last one before it when it wrote nothing.
    """

    answer: T
    tid: bytes


class EndLost(Exception):
    """A commit is in doubt; ``answer`` is what is told if it was made."""

    def __init__(self, answer: Any, cause: InDoubt) -> None:
        super().__init__(str(cause))
        self.answer = answer
        self.cause = cause


class Behind(Exception):
    """The store knows less than its caller has seen."""

    def __init__(self, known: bytes, seen: bytes) -> None:
        super().__init__(f"{known.hex()} is known, {seen.hex()} was seen")
        self.known = known
        self.seen = seen


class Attempt:
    """One connection and one transaction."""

    def __init__(self, database: DB) -> None:
        self._manager = transaction.TransactionManager(explicit=True)
        self._connection = database.open(self._manager)
        try:
            self._manager.begin()
        except BaseException:
            # The server of the store is away; the connection goes back to its pool.
            self.end()
            raise

    @property
    def root(self) -> Any:
        """The root mapping of the database."""
        return self._connection.root()

    @contextmanager
    def aborted_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.end()
            raise

    def check_known(self, seen: bytes) -> None:
        """Refuse to answer who has seen more."""
        if seen > self._known:
            raise Behind(self._known, seen)

    def check_seen(self, caller: Caller) -> None:
        """Refuse to change what was changed since: ``Overtaken``, and what is known.

        Who does not say what they have seen is not asked; new records are nobody's.
        """
        if caller.seen == UNSEEN:
            return
        for it in self._connection._registered_objects:  # noqa: SLF001 - ZODB's name
            # A new record has no serial.
            if isinstance(it, Stored) and it._p_serial > caller.seen:  # noqa: SLF001
                caller.learn(self._known)
                raise Overtaken("somebody changed it meanwhile: look, and ask again")

    def check_standing(self, cloud: Cloud, mark: Mark | None) -> None:
        """Refuse to change a state that is not open, or that is frozen meanwhile."""
        if not self._writes:
            return
        cloud.standing.check_changeable()
        if mark is None:
            cloud.standing.rely()

    @property
    def _known(self) -> bytes:
        tid: bytes = self._connection._storage.tid  # noqa: SLF001 - ours
        return tid

    @property
    def heard(self) -> bytes:
        """The last transaction up to which all were announced; ``UNSEEN`` if unsure."""
        tid: bytes = self._connection._storage.heard_tid  # noqa: SLF001 - ours
        return tid

    @property
    def _writes(self) -> bool:
        return bool(self._connection._registered_objects)  # noqa: SLF001 - ZODB's name

    def commit(self, answer: T, mark: Mark | None = None) -> Dated[T]:
        """Write what was changed, if anything was, with the mark of the decision."""
        try:
            if mark is not None and self._writes:
                mark.write(self.root[ROOT_KEY])
            self._manager.commit()
            return Dated(answer, self._known)
        except InDoubt as error:
            self._manager.abort()
            raise EndLost(answer, error) from error
        except BaseException:
            self._manager.abort()
            raise
        finally:
            self._connection.close()

    def abandon(self, answer: T) -> Dated[T]:
        """End without writing."""
        dated = Dated(answer, self._known)
        self.end()
        return dated

    def end(self) -> None:
        self._manager.abort()
        self._connection.close()
