"""Shell. Makes a neo_cluster: the description, the first start, the cells.

A creation that is killed is repeated: the description is written first, and the cells
are made when all storage nodes are there, by whoever comes so far.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from replication.answers import PENDING, STORAGE, Answer, choose_answer
from replication.neo.neoctl import start_neo_cluster
from replication.regions import (
    DESCRIPTION_FILE,
    PORTS,
    Misdescribed,
    NeoCluster,
    plan_neo_cluster,
)
from runtime.ports import Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.regions.places import Place, check_path
from slapcluster.regions.running import (
    POLL_SECONDS,
    START_SECONDS_MAX,
    Regions,
    Say,
    is_free,
)


async def create(place: Place, wanted: NeoCluster, say: Say) -> tuple[Regions, bool]:
    """Have the wanted neo_cluster in a directory; tell whether it was made now.

    Addresses of ``wanted`` but the host are replaced by free ones.
    """
    check_installed()
    region_names = tuple(region.name for region in wanted.regions)
    check_path(place.path, region_names)
    place.make()
    with place.held():
        found = place.read()
        if found is None:
            _check_empty(place)
            found = await _with_free_ports(place.runtime, wanted)
            place.write(found)
        difference = found.difference(wanted)
        if difference:
            raise CommandFailed(f"{place.path} has another neo_cluster: {difference}.")
        if found.is_created:
            return Regions(place, found), False
        for name in region_names:
            place.tree.make_directory(name, 0o750)
        regions = Regions(place, found)
        await regions.start(region_names, say)
        say("making the cells")
        storage_node_ids = await _make_cells(regions)
        created = found.numbered(storage_node_ids)
        place.write(created)
        return Regions(place, created), True


def check_installed() -> None:
    if find_spec("neo") is None:
        raise CommandFailed("NEO is not installed here: install slapcluster[master].")


def plan(
    name: str, region_names: tuple[str, ...], partition_count: int, host: str
) -> NeoCluster:
    """A description of what is wanted, with any ports; fails when it has a fault."""
    try:
        return plan_neo_cluster(name, region_names, partition_count, host, iter(PORTS))
    except Misdescribed as error:
        raise CommandFailed(f"{error}.") from error


def _check_empty(place: Place) -> None:
    foreign = place.tree.list()
    if foreign:
        raise CommandFailed(
            f"{place.path} has something else, such as {foreign[0]}, and no "
            f"{DESCRIPTION_FILE}: name an empty or missing directory."
        )


async def _with_free_ports(runtime: Runtime, wanted: NeoCluster) -> NeoCluster:
    names = tuple(region.name for region in wanted.regions)
    host = wanted.regions[0].neo_master.rpartition(":")[0]
    free: list[int] = []
    for port in drawn_ports(runtime):
        if len(free) == len(names) * len(wanted.regions[0].addresses):
            break
        if await is_free(runtime, f"{host}:{port}"):
            free.append(port)
    return plan_neo_cluster(
        wanted.name, names, wanted.partition_count, host.strip("[]"), iter(free)
    )


def drawn_ports(runtime: Runtime) -> Iterator[int]:
    """All ports in turn, from a drawn one on: two creations meet seldom."""
    start = runtime.entropy.randrange(len(PORTS))
    yield from PORTS[start:]
    yield from PORTS[:start]


async def _make_cells(regions: Regions) -> dict[str, str]:
    """Wait for all storage nodes and have cells made; give the numbers of the nodes."""
    neo_cluster = regions.neo_cluster
    addresses = {region.storage_node for region in neo_cluster.regions}
    runtime = regions.runtime
    deadline = runtime.clock.seconds() + START_SECONDS_MAX
    while True:
        answers = await regions.answers(regions.names(None))
        answer = choose_answer(answers)
        if answer is not None and answer.is_running:
            node_ids = {it.address: it.node_id for it in answer.nodes_of(STORAGE)}
            if addresses <= node_ids.keys():
                return node_ids
        if answer is not None and _are_pending(answer, addresses):
            # Refused when one of them is just entering; the next turn asks again.
            await start_neo_cluster(runtime, answer.admin_node)
        if runtime.clock.seconds() > deadline:
            remarks = (await regions.look()).remarks
            raise CommandFailed(
                f"No cells after {START_SECONDS_MAX:g} s. " + " ".join(remarks)
            )
        await pause(runtime.clock, POLL_SECONDS)


def _are_pending(answer: Answer, addresses: set[str]) -> bool:
    pending = {it.address for it in answer.nodes if it.node_state == PENDING}
    return addresses <= pending
