"""What the parts of the model of NEO promise to each other."""

from __future__ import annotations

from functools import partial

import pytest
from BTrees.Length import Length
from transaction import TransactionManager

from labsim.models.neo.client import WAIT_SECONDS, Away
from labsim.models.neo.neo_cluster import NeoCluster
from labsim.models.neo.sessions import AVOIDED_SECONDS, SILENCE_SECONDS, Silences
from labsim.models.neo.storage_disk import NO_TID, StorageDisk, Vote
from labsim.world.threads import run_suspendable
from labsim.world.world import World
from master_cluster.store.storages import database_on

OID, TTID, TID = (bytes([it]) * 8 for it in (1, 2, 3))
STARTED_SECONDS_MAX = 30.0


@pytest.fixture
def world():
    return World(seed=1)


@pytest.fixture
def neo_cluster(world):
    return NeoCluster(
        [world.host(f"master-{it}") for it in (1, 2, 3)],
        [(it, world.host(f"storage-{it}")) for it in (1, 2, 3)],
    )


def told_by(world, call):
    told = []
    run_suspendable(call, told.append)
    world.run_until(lambda: told)
    return told[0]


def a_voted_disk():
    disk = StorageDisk(100001)
    disk.votes[TTID] = Vote(((OID, b"data"),))
    disk.locks[TTID] = TID
    disk.commit()
    disk.unlock(TTID, TID)
    return disk


def test_what_was_not_committed_is_gone_after_the_end_of_a_program():
    disk = a_voted_disk()
    assert disk.revisions(OID).before(b"\xff" * 8) == (b"data", TID, None)

    disk.roll_back()

    assert disk.revisions(OID).known == []
    assert disk.locks == {TTID: TID}
    assert list(disk.votes) == [TTID]
    assert disk.last_tid == NO_TID


def test_what_was_committed_stays():
    disk = a_voted_disk()

    disk.commit()
    disk.roll_back()

    assert disk.final_tids == {TTID: TID}
    assert not disk.votes


def test_a_call_waits_for_a_neo_cluster_no_longer_than_its_bound(world, neo_cluster):
    client = neo_cluster.client(world.host("client").runtime)

    def call():
        with pytest.raises(Away):
            client.sync()
        return world.clock.seconds()

    assert told_by(world, call) == WAIT_SECONDS
    client.close()


def test_conflicts_are_resolved_by_their_class(world, neo_cluster):
    neo_cluster.boot()
    world.run_until(neo_cluster.is_whole, STARTED_SECONDS_MAX)
    runtimes = [world.host(f"client-{it}").runtime for it in (1, 2)]
    databases = [
        told_by(world, partial(neo_cluster.opening(it), "neo:", None))
        for it in runtimes
    ]

    def make():
        manager = TransactionManager(explicit=True)
        connection = databases[0].open(manager)
        manager.begin()
        connection.root()["count"] = Length()
        manager.commit()
        connection.close()

    told_by(world, make)
    ended = []

    def add(database):
        manager = TransactionManager(explicit=True)
        connection = database.open(manager)
        manager.begin()
        connection.root()["count"].change(1)
        manager.commit()
        connection.close()
        return connection

    for database in databases:
        run_suspendable(partial(add, database), ended.append)
    world.run_until(lambda: len(ended) == len(databases))

    def read():
        manager = TransactionManager(explicit=True)
        connection = databases[0].open(manager)
        manager.begin()
        found = connection.root()["count"].value
        manager.abort()
        connection.close()
        return found

    assert told_by(world, read) == len(databases)


def test_a_primary_without_power_is_noticed_by_its_silence(world, neo_cluster):
    neo_cluster.boot()
    world.run_until(neo_cluster.is_whole, STARTED_SECONDS_MAX)
    place = neo_cluster.primary_place()
    assert place is not None

    neo_cluster.neo_master_hosts[place].crash()
    begun = world.clock.seconds()
    world.run_until(neo_cluster.is_whole, 4 * SILENCE_SECONDS)

    assert neo_cluster.primary_place() != place
    assert world.clock.seconds() - begun > SILENCE_SECONDS


def test_followers_of_a_lost_primary_do_not_name_it_to_each_other():
    """They lose it by silence, one after the other, and would ask it by turns."""
    world = World(seed=3)
    storages = [(it, world.host(f"storage-{it}")) for it in (1, 2, 3)]
    masters = [world.host(f"master-{it}") for it in (1, 2, 3)]
    neo_cluster = NeoCluster(masters, storages)
    neo_cluster.boot()
    world.run_until(neo_cluster.is_whole, STARTED_SECONDS_MAX)
    world.run_for(2.1)
    place = neo_cluster.primary_place()
    assert place is not None

    world.sever((masters[place].name, storages[place][1].name))

    world.run_until(
        lambda: neo_cluster.primary_place() not in {None, place}, 2 * SILENCE_SECONDS
    )


def test_who_was_silent_is_tried_last_for_a_while(world, neo_cluster):
    runtime = world.host("master-1").runtime
    addresses = neo_cluster.places.neo_masters
    silences = Silences(runtime)
    silences.note(addresses[1])

    assert [silences.next_place(addresses, it) for it in (0, 1, 2)] == [2, 2, 0]
    world.run_for(AVOIDED_SECONDS)
    assert [silences.next_place(addresses, it) for it in (0, 1, 2)] == [1, 2, 0]
    assert silences.has(addresses[1])
    silences.forget(addresses[1])
    assert not silences.has(addresses[1])


def test_databases_are_opened_by_several_at_once(world, neo_cluster):
    neo_cluster.boot()
    world.run_until(neo_cluster.is_whole, STARTED_SECONDS_MAX)
    opened = []

    for number in range(4):
        client = neo_cluster.client(world.host(f"client-{number}").runtime)
        run_suspendable(partial(database_on, client), opened.append)
    world.run_until(lambda: len(opened) == 4)

    assert len({it.lastTransaction() for it in opened}) == 1
