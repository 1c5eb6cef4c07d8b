"""Shell. What breaks in a life of a neo_cluster, and what undoes it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from random import Random

from labsim.lives.neo_life import Fault, Life
from labsim.world.host import Host
from labsim.world.links import Cut
from replication.quorum import Change

UNREACHED_FRACTION = 0.4
"""A majority of three is left to more than half of the neo_masters."""


def _boot(host: Host) -> Callable[[], None]:
    return lambda: None if host.is_up else host.boot()


def crash(life: Life, entropy: Random) -> Callable[[], None] | None:
    host = entropy.choice(life.servers())
    if not host.is_up:
        return None
    host.crash()
    return _boot(host)


def kill(life: Life, entropy: Random) -> Callable[[], None] | None:
    host = entropy.choice(life.servers())
    if not host.is_up:
        return None
    host.kill()
    return _boot(host)


def kill_primary(life: Life, entropy: Random) -> Callable[[], None] | None:
    del entropy
    place = life.neo_cluster.primary_place()
    if place is None:
        return None
    host = life.neo_cluster.neo_master_hosts[place]
    host.kill()
    return _boot(host)


def cut(life: Life, entropy: Random) -> Callable[[], None]:
    one, other = entropy.sample(life.servers(), 2)
    return _cut_between(life, entropy, one, other)


def _cut_between(
    life: Life, entropy: Random, one: Host, other: Host
) -> Callable[[], None]:
    life.world.sever(
        one.name,
        other.name,
        entropy.choice(tuple(Cut)),
        is_one_way=entropy.random() < 1 / 2,
    )
    return lambda: life.world.heal(one.name, other.name)


def cut_off(life: Life, entropy: Random) -> Callable[[], None]:
    """Cut one from all, as a region is."""
    one = entropy.choice(life.servers())
    how = entropy.choice(tuple(Cut))
    others = [it for it in life.world.hosts if it is not one]
    for other in others:
        life.world.sever(one.name, other.name, how)

    def undo() -> None:
        for other in others:
            life.world.heal(one.name, other.name)

    return undo


def change_holders(life: Life, entropy: Random) -> None:
    primary = life.neo_cluster.primary
    spares = [
        it.storage
        for it in life.neo_cluster.disks
        if it.storage not in life.neo_cluster.places.founders
    ]
    if primary is None or not spares:
        return
    holders = primary.table.holders
    chosen = frozenset({entropy.choice([it.storage for it in life.neo_cluster.disks])})
    primary.change_holders(
        Change(removed=chosen) if chosen <= holders else Change(added=chosen)
    )


def scatter(life: Life, entropy: Random) -> Callable[[], None]:
    """Let each neo_master reach some storage nodes alone, and none of the others."""
    neo_cluster = life.neo_cluster
    masters, storages = neo_cluster.neo_master_hosts, neo_cluster.storage_hosts
    pairs = list(combinations(masters, 2))
    pairs += [
        pair
        for pair in product(masters, storages)
        if entropy.random() < UNREACHED_FRACTION
    ]
    for one, other in pairs:
        life.world.sever(one.name, other.name, Cut.REFUSED)

    def undo() -> None:
        for one, other in pairs:
            life.world.heal(one.name, other.name)

    return undo


def lose_disk(life: Life, entropy: Random) -> Callable[[], None] | None:
    """Let a storage node come back empty, once in a life, if another one has all."""
    neo_cluster = life.neo_cluster
    primary = neo_cluster.primary
    place = entropy.randrange(len(neo_cluster.disks))
    host, disk = neo_cluster.storage_hosts[place], neo_cluster.disks[place]
    if life.lost_disk is not None or primary is None or not host.is_up:
        return None
    if len(neo_cluster.places.founders) < len(neo_cluster.disks):
        # With a holder that never came, too, two regions would wait for a human.
        return None
    if not primary.table.readable - {disk.storage}:
        return None
    life.lost_disk = disk.storage
    host.crash()
    disk.wipe()
    return _boot(host)


FAULTS: tuple[Fault, ...] = (
    crash, kill, kill, kill_primary, cut, cut, cut_off, change_holders,
    change_holders, lose_disk, scatter, scatter, scatter, scatter,
)  # fmt: skip


def stop_stunnel(life: Life, entropy: Random) -> Callable[[], None]:
    host = entropy.choice(tuple(life.stunnel_hosts.values()))
    host.pause_processes()
    return host.resume_processes


def kill_stunnel(life: Life, entropy: Random) -> Callable[[], None] | None:
    host = entropy.choice(tuple(life.stunnel_hosts.values()))
    if not host.is_up:
        return None
    host.kill()
    return _boot(host)


def cut_stunnel(life: Life, entropy: Random) -> Callable[[], None]:
    """Cut two regions from each other, or one way between them."""
    one, other = entropy.sample(tuple(life.stunnel_hosts.values()), 2)
    return _cut_between(life, entropy, one, other)


TUNNELLED_FAULTS: tuple[Fault, ...] = (
    crash, kill, kill_primary, cut, cut_off, change_holders, lose_disk,
    stop_stunnel, stop_stunnel, kill_stunnel, kill_stunnel, cut_stunnel, cut_stunnel,
)  # fmt: skip
