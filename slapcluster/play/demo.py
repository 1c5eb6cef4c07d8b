"""Shell. ``play demo``: makes a cloud, shows what it does, leaves nothing."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout

from runtime.ports import Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.play.checkouts import Checkout
from slapcluster.play.cloud import Say, end_cloud, log_ends, open_cloud
from slapcluster.play.places import Record
from slapcluster.play.regional_tour import FULL_STEPS, REGIONAL_STEPS, RegionalTour
from slapcluster.play.settings import StoreKind
from slapcluster.play.steps import Seen, Step, TourT
from slapcluster.play.three_regions import open_three
from slapcluster.play.tour import STEPS_OF, Tour
from slapcluster.play.visitor import Visitor


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
        return (opened, *await _show_all(runtime, tour, record, STEPS_OF[store], say))
    finally:
        await _end(runtime, checkout, record, say)


async def show_regions(
    runtime: Runtime, checkout: Checkout, say: Say, *, is_full: bool
) -> tuple[Seen, ...]:
    """Run the demo of three regions, as ``show`` does that of one computer."""
    begun = runtime.clock.seconds()
    record = await open_three(runtime, checkout, say, is_bound=True)
    tour = RegionalTour(runtime, checkout, say, record)
    try:
        seconds = runtime.clock.seconds() - begun
        opened = Seen("three computers that wait", seconds, f"in {record.place}")
        steps = (*REGIONAL_STEPS, *(FULL_STEPS if is_full else ()))
        return (opened, *await _show_all(runtime, tour, record, steps, say))
    finally:
        tour.end()
        await _end(runtime, checkout, record, say)


async def _end(runtime: Runtime, checkout: Checkout, record: Record, say: Say) -> None:
    say(f"removing {record.place}")
    await end_cloud(runtime, checkout)
    say(f"removed {record.place} and all its processes")


async def _show_all(
    runtime: Runtime,
    tour: TourT,
    record: Record,
    steps: Iterable[Step[TourT]],
    say: Say,
) -> list[Seen]:
    return [await _show(runtime, tour, record, step, say) for step in steps]


async def _show(
    runtime: Runtime, tour: TourT, record: Record, step: Step[TourT], say: Say
) -> Seen:
    say(f"{step.title} ...")
    begun = runtime.clock.seconds()
    performing = Deferred.fromCoroutine(step.perform(tour))
    performing.addTimeout(step.bound_seconds, runtime.clock)
    try:
        sentence = await performing
    except DeferredTimeout as error:
        raise _failed(step, record, f"not in {step.bound_seconds:g} s") from error
    except CommandFailed as error:
        raise _failed(step, record, error.sentence) from error
    seconds = runtime.clock.seconds() - begun
    say(f"... {seconds:.1f} s: {sentence}")
    return Seen(step.title, seconds, sentence)


def _failed(step: Step[TourT], record: Record, reason: str) -> CommandFailed:
    return CommandFailed(f"{step.title}: {reason}\n{log_ends(record)}")
