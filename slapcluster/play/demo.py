"""Shell. ``play demo``: makes a cloud, shows what it does, leaves nothing."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from runtime.ports import Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.play.checkouts import Checkout
from slapcluster.play.cloud import Say, end_cloud, log_ends, open_cloud
from slapcluster.play.places import Record
from slapcluster.play.settings import StoreKind
from slapcluster.play.tour import STEPS_OF, Step, Tour
from slapcluster.play.visitor import Visitor


@frozen
class Seen:
    """A step that was shown."""

    title: str
    seconds: float
    sentence: str


async def show(
    runtime: Runtime,
    checkout: Checkout,
    say: Say,
    *,
    is_apart: bool = True,
    store: StoreKind = StoreKind.FILE,
) -> tuple[Seen, ...]:
    """Run the whole demo; raises at the first step that does not show what it should.

    The cloud is gone when it returns, raises or is cancelled.
    """
    begun = runtime.clock.seconds()
    record = await open_cloud(
        runtime, checkout, say, is_bound=True, is_apart=is_apart, store=store
    )
    try:
        seconds = runtime.clock.seconds() - begun
        opened = Seen("a mini-master and an agent", seconds, f"in {record.place}")
        tour = Tour(Visitor(runtime, record), record, checkout.path)
        steps = STEPS_OF[store]
        return (opened, *[await _show(runtime, tour, step, say) for step in steps])
    finally:
        await end_cloud(runtime, checkout)
        say(f"removed {record.place} and all its processes")


async def _show(runtime: Runtime, tour: Tour, step: Step, say: Say) -> Seen:
    say(f"{step.title} ...")
    begun = runtime.clock.seconds()
    performing = Deferred.fromCoroutine(step.perform(tour))
    performing.addTimeout(step.bound_seconds, runtime.clock)
    try:
        sentence = await performing
    except DeferredTimeout as error:
        raise _failed(step, tour.record, f"not in {step.bound_seconds:g} s") from error
    except CommandFailed as error:
        raise _failed(step, tour.record, error.sentence) from error
    return Seen(step.title, runtime.clock.seconds() - begun, sentence)


def _failed(step: Step, record: Record, reason: str) -> CommandFailed:
    return CommandFailed(f"{step.title}: {reason}\n{log_ends(record)}")
