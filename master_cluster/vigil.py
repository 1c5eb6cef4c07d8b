"""Shell. Whether this master knows what is so now: its store is asked each second.

Commits of others are heard, not asked for, and nobody hears what does not come. A
transaction begins with a question to those who have the store: its answer proves that
what was heard until then is all there is.

Without such a proof for some seconds the store is lost, whatever its connections say:
a region that is cut off knows it no sooner. One that says itself that it is away is
lost at once; calls wait a little longer for that one, for most come back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from master_cluster.store.callers import Caller, enter
from master_cluster.store.store import Store
from slap.errors import SlapError

LOOK_SECONDS = 1.0
"""A question to one neo_master; its answer takes the way there and back."""

LOST_SECONDS = 2.9
"""Three looks. A store that is only busy answers within this."""

GIVEN_UP_SECONDS = 3.9
"""Four looks: whoever asked meanwhile has an answer within five seconds."""


class Vigil:
    """Looks, from ``start`` to ``stop``.

    ``prove`` is told when the store was asked and up to which transaction all changes
    were heard. ``lose`` and all of ``find`` are called in turn; ``give_up`` when the
    store is lost for so long that nobody should wait for it, once or more often.
    ``pass_second`` is called each second.
    """

    def __init__(
        self,
        store: Store,
        clock: IReactorTime,
        prove: Callable[[float, bytes], None],
        *,
        lose: Callable[[], None],
        give_up: Callable[[], None],
        pass_second: Callable[[], None],
        find: Sequence[Callable[[], None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._tell_proven, self._tell_lost, self._tell_found = prove, lose, find
        self._tell_given_up, self._tell_second = give_up, pass_second
        self._proven_at = clock.seconds()
        self._timer: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self.is_lost = False

    def start(self) -> None:
        """Begin; a store that is of this process alone is never lost."""
        if self._store.can_be_lost:
            self._proven_at = self._clock.seconds()
            self._tick()

    async def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._looking is not None:
            await self._looking

    def _tick(self) -> None:
        self._timer = self._clock.callLater(LOOK_SECONDS, self._tick)
        if self._looking is None:
            looking = self._looking = Deferred.fromCoroutine(self._look())
            if looking.called:
                self._looking = None
        silent_seconds = self._clock.seconds() - self._proven_at
        if silent_seconds > LOST_SECONDS:
            self._lose()
        if silent_seconds > GIVEN_UP_SECONDS:
            self._tell_given_up()
        self._tell_second()

    async def _look(self) -> None:
        enter(Caller())
        begun = self._clock.seconds()
        try:
            heard = await self._store.look()
        except SlapError:
            # One that is away says so after some seconds, and at once from then on.
            self._lose()
        else:
            if heard is not None:
                self._prove(begun, heard)
        self._looking = None

    def _prove(self, begun: float, heard: bytes) -> None:
        self._proven_at = begun
        self._tell_proven(begun, heard)
        if self.is_lost and self._clock.seconds() - begun <= LOST_SECONDS:
            self.is_lost = False
            for tell in self._tell_found:
                tell()

    def _lose(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._tell_lost()
