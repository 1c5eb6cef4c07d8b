"""Core. Whether the promises of a region are kept, each in one sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import frozen

from replication.answers import OUT_OF_DATE, STORAGE, Answer
from replication.observation import region_of
from slap.transfer import RECEIVING
from slapcluster.hosting.places import STORAGE_NODE
from slapcluster.hosting.planning import InForce, has_cells
from slapcluster.hosting.rolling import USUAL, CellsWish
from stunnel_conf.links import Endpoint

EXPIRY_SECONDS_MIN = 30 * 86400.0
"""A certificate is renewed months before: a month is time to find out why not."""

DISK_BYTES_MIN = 256 * 1024**2
"""Sixteen times what a storage node needs to begin."""

_DAY = 86400.0
_MIB = 1024**2


@frozen
class Judgement:
    """Whether a promise is kept, and what is told of it."""

    is_kept: bool
    sentence: str


def _broken(sentence: str) -> Judgement:
    return Judgement(is_kept=False, sentence=sentence)


def _kept(sentence: str) -> Judgement:
    return Judgement(is_kept=True, sentence=sentence)


def judge_waiting(in_force: InForce | None) -> Judgement | None:
    """Say what a region waits for that runs nothing yet; ``None`` if it runs."""
    if in_force is None:
        return _broken("nothing was configured yet")
    if not in_force.admin_node:
        return _broken(f"{', '.join(in_force.missing)} has not published yet")
    return None


def judge_links(
    *,
    is_running: bool,
    is_taken: bool,
    wanted: Collection[Endpoint],
    listening: Collection[Endpoint],
) -> Judgement:
    """Judge this end of the links: what others do is not promised here."""
    if not is_running:
        return _broken("stunnel does not run")
    closed = sorted(set(wanted) - set(listening))
    if closed:
        return _broken(f"stunnel does not listen at {', '.join(map(str, closed))}")
    if not is_taken:
        return _broken("the next pass of the agent looks whether stunnel took its file")
    return _kept(f"stunnel listens at all {len(wanted)} ends")


def judge_quorum(
    in_force: InForce, answer: Answer, verdict: str, obstacle: str
) -> Judgement:
    """Judge whether NEO runs, as the admin node of the region knows.

    ``obstacle`` is why cells are not made, where there are none.
    """
    if answer.failure:
        return _broken(f"the admin node says: {answer.failure}")
    if not has_cells(answer):
        return _broken(f"NEO has no cells: {obstacle or 'they are being made'}")
    if answer.is_primary_silent:
        return _broken("the neo_master that is primary does not answer")
    if not answer.is_running:
        return _broken(f"NEO is {answer.cluster_state}: {verdict or 'no verdict yet'}")
    away = _away(in_force, answer)
    count = len(in_force.published)
    if away:
        return _kept(
            f"NEO runs with {count - len(away)} of {count} regions;"
            f" {', '.join(away)} is away"
        )
    return _kept(f"NEO runs with all {count} regions")


def _away(in_force: InForce, answer: Answer) -> tuple[str, ...]:
    there = {
        it.address for it in answer.nodes_of(STORAGE) if it.node_state == "RUNNING"
    }
    return tuple(
        name
        for name, it in in_force.published.items()
        if str(it.linked.announced(STORAGE_NODE)) not in there
    )


def judge_lag(
    in_force: InForce,
    answer: Answer,
    next_step: str = "",
    cells: CellsWish = USUAL,
) -> Judgement:
    """Judge whether the storage node of this region has everything.

    ``next_step`` is what is done, or waited for, where it has not. ``cells`` is what
    the region is asked to do about them.
    """
    if answer.failure or not answer.is_running:
        said = answer.failure or f"NEO is {answer.cluster_state}"
        return _broken(f"nobody knows what {in_force.name} has: {said}")
    own = [it for it in answer.cells if region_of(it.storage) == in_force.number]
    if cells.waits:
        return _kept(f"{in_force.name} begins without cells")
    if not own:
        return _broken(f"no storage node of {in_force.name} has cells: {next_step}")
    late = sum(it.cell_state == OUT_OF_DATE for it in own)
    leaving = {region_of(it.storage) for it in answer.cells} & cells.drops
    all_of_them = f"all {len(own)} cells of {in_force.name} are up to date"
    because = f": {next_step}" if next_step else ""
    if late:
        told = f"{late} of {len(own)} cells of {in_force.name} are out of date{because}"
    elif leaving:
        told = ", ".join(f"region {it}" for it in sorted(leaving)) + " has cells still"
    elif next_step:
        # Its file is gone below the storage node, which goes on for now.
        told = f"{all_of_them}, and not in its own database{because}"
    else:
        return _kept(all_of_them)
    return _broken(told)


def judge_replica(url: str, refusal: str, cells: CellsWish = USUAL) -> Judgement:
    """Judge whether the replica of this region is ready; ``refusal`` is why not.

    One that waits for cells is to have its certificate, and begins with them.
    """
    if not url:
        return _broken(
            "the key of the region has no certificate: `slapcluster region sign` signs"
            " it, where the root of the cloud is"
        )
    if cells.waits:
        return _kept("the replica begins when the region has cells")
    if refusal.startswith(RECEIVING):
        # Whoever moves a state to it may wait for this promise.
        return _kept(f"the replica at {url} is {refusal}")
    if refusal:
        return _broken(f"the replica at {url} is not ready: {refusal}")
    return _kept(f"the replica at {url} is ready")


def judge_certificates(
    expires: Mapping[str, float], problem: str, now: float
) -> Judgement:
    """Judge how long certificates of this region last; ``expires`` by their names.

    ``problem`` is of one that is of no use.
    """
    if problem:
        return _broken(problem)
    for name, at in sorted(expires.items()):
        if at <= now:
            return _broken(f"the certificate of {name} is over")
        if at < now + EXPIRY_SECONDS_MIN:
            days = int((at - now) / _DAY)
            return _broken(
                f"the certificate of {name} is over in {days} days, and was not renewed"
            )
    days = int((min(expires.values(), default=now) - now) / _DAY)
    return _kept(f"certificates last {days} days")


def judge_disk(free_bytes: int) -> Judgement:
    """Judge the room of the disk that the database is on."""
    if free_bytes < DISK_BYTES_MIN:
        return _broken(
            f"{free_bytes // _MIB} MiB are free on the disk of the database, and"
            f" {DISK_BYTES_MIN // _MIB} are wanted: make room"
        )
    return _kept(f"{free_bytes // _MIB} MiB are free")


def judge_regions(
    names: Collection[str],
    published: Mapping[str, Mapping[str, str]],
    pending: Mapping[str, str],
    held: str = "",
) -> Judgement:
    """Judge for the root whether all of its regions are there and have cells.

    ``held`` is what another release waits for that not all of them run yet.
    """
    if pending:
        told = (f"{title}: {reason}" for title, reason in sorted(pending.items()))
        return _broken("; ".join(told))
    without = [it for it in names if published.get(it, {}).get("storage") != "created"]
    if without:
        return _broken(f"{', '.join(without)} has no cells yet")
    if held:
        return _broken(held)
    return _kept(f"all {len(names)} regions are there")
