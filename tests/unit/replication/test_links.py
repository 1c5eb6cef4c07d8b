"""Links between regions: each way that one needs is one that the other offers."""

from __future__ import annotations

from itertools import permutations

import pytest

from replication.links import LinkedRegion, links_of, translations
from stunnel_conf.links import BadLinks, Endpoint, Links, read_span
from stunnel_conf.ports import assign, entry_name

PORTS = {"neo-master": 2051, "storage-node": 2052}
BOUND = {it: Endpoint("127.0.0.1", port) for it, port in PORTS.items()}
ENTRIES = read_span("127.0.0.1:10000-10999")
REGIONS = tuple(
    LinkedRegion(name, f"2001:db8:{number}::1", (f"{name}.crt",), PORTS)
    for number, name in enumerate(("lyon", "tokyo", "lima"), start=1)
)


def others_of(region: LinkedRegion) -> tuple[LinkedRegion, ...]:
    return tuple(it for it in REGIONS if it is not region)


def linked(region: LinkedRegion) -> Links:
    return links_of(region, BOUND, others_of(region), "own.pem", ENTRIES)


@pytest.mark.parametrize(("here", "there"), list(permutations(range(3), 2)))
def test_what_a_region_dials_is_exported_to_it(here: int, there: int) -> None:
    own, other = linked(REGIONS[here]), linked(REGIONS[there])
    (peer,) = (it for it in own.peers if it.name == other.name)

    assert peer.address == other.listen
    assert peer.reaches == {it.program: it.port for it in other.exports}
    assert all(own.name in it.peers for it in other.exports)


def test_each_announced_address_is_reached_by_a_local_one() -> None:
    lyon = REGIONS[0]
    links = linked(lyon)
    names = [entry_name(*it) for it in links.reached]
    ports = assign(names, ENTRIES, {})
    entries = {name: Endpoint("127.0.0.1", ports[name]) for name in names}

    reached = translations(lyon, BOUND, others_of(lyon), entries)

    assert reached["[2001:db8:1::1]:2051"] == "127.0.0.1:2051"
    assert reached["[2001:db8:2::1]:2052"] == str(entries["tokyo/storage-node"])
    announced = {str(it.announced(p)) for it in REGIONS for p in PORTS}
    assert set(reached) == announced
    assert len(set(reached.values())) == len(announced)


def test_two_regions_of_one_name_are_refused() -> None:
    with pytest.raises(BadLinks, match="has that name itself"):
        links_of(REGIONS[0], BOUND, (REGIONS[0],), "own.pem", ENTRIES)
