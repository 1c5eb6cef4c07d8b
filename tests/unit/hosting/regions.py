"""Builders of what regions are asked for and what they publish."""

from __future__ import annotations

import json
from collections.abc import Iterable

from replication.answers import PENDING, STORAGE, Answer, CellSeen, NodeSeen
from slapcluster.hosting.places import Place
from slapcluster.hosting.planning import own_region
from slapcluster.hosting.wanted import (
    PublishedRegion,
    WantedRegion,
    read_region,
    render_published,
)

NAMES = ("paris", "lyon", "tokyo")


def a_certificate(text: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"


def a_place(number: int = 1, first_port: int = 20000) -> Place:
    """The partition of a region; its computer is one of its own."""
    return Place(
        f"/srv/region{number}/slappart0",
        f"10.0.0.{number}",
        f"fd00:{number}::2",
        first_port,
        "/usr/bin/python3",
        "/soft/bin",
        "/usr/bin/stunnel",
        "/soft/release",
    )


def a_region(
    name: str = "paris", others: Iterable[str] = (), **parameters: str
) -> WantedRegion:
    """What an instance is asked for; it knows itself and these."""
    known = {it: render_published(a_published(it)) for it in others}
    return read_region(
        {
            "regions": " ".join(NAMES),
            "region": name,
            "published": json.dumps(known),
            **{key.replace("_", "-"): it for key, it in parameters.items()},
        }
    )


def a_published(
    name: str, *certificates: str, is_created: bool = False
) -> PublishedRegion:
    number = NAMES.index(name) + 1
    pinned = certificates or (a_certificate(name),)
    return own_region(a_region(name), a_place(number), pinned, is_created=is_created)


def all_published(**created: bool) -> dict[str, PublishedRegion]:
    return {it: a_published(it, is_created=created.get(it, False)) for it in NAMES}


def an_answer(
    node_state: str = PENDING,
    names: Iterable[str] = NAMES,
    cells: tuple[CellSeen, ...] = (),
    cluster_state: str = "RECOVERING",
) -> Answer:
    """What an admin node says whose storage nodes are those of these regions."""
    nodes = tuple(
        NodeSeen(
            f"S{NAMES.index(it) + 1}00001",
            STORAGE,
            f"[fd00:{NAMES.index(it) + 1}::2]:20001",
            node_state,
        )
        for it in names
    )
    return Answer(
        "10.0.0.1:20002",
        cluster_state=cluster_state,
        nodes=nodes,
        rows=(cells,) if cells else (),
    )
