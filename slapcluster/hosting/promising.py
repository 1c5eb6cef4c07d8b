"""Shell. Looks at a region of this partition, for one promise at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from replication.answers import Answer
from replication.neo.neoctl import ask
from replication.programs import VERDICT_FILE
from runtime.http_client import ConnectionFailed, HttpClient
from runtime.identity_directory import paths_below
from runtime.ports import IFileTree, Runtime
from runtime.tls import BadCredentials
from slapcluster.hosting.complaining import complain_of_copier
from slapcluster.hosting.configuring import read_asked, read_in_force, read_key
from slapcluster.hosting.copying import look_at_holders
from slapcluster.hosting.identities import problems_of
from slapcluster.hosting.judging import (
    Judgement,
    judge_certificates,
    judge_disk,
    judge_lag,
    judge_links,
    judge_quorum,
    judge_regions,
    judge_replica,
    judge_waiting,
)
from slapcluster.hosting.layout import (
    IDENTITY_HOME,
    LINKS_HOME,
    NEO_HOME,
    NEXT_PIN,
    OWN_PIN,
    PROMISES,
    REGIONS_FILE,
    ROOT_PROMISE,
)
from slapcluster.hosting.planning import InForce, may_create
from slapcluster.regions.verdicts import read_verdict
from slapgrid.trusting import trust_masters
from stunnel_conf.applying import IN_FORCE
from stunnel_conf.process import StunnelProcess
from stunnel_conf.rendering import CONFIGURATION, accepts_named

READY_SECONDS_MAX = 10.0
"""A replica asks its store within five; agents allow a promise 20 s in all."""

Looking: TypeAlias = Callable[
    [Runtime, IFileTree, InForce], Coroutine[Any, Any, Judgement]
]


async def check(runtime: Runtime, name: str, home: str) -> Judgement:
    """Return whether a promise of the region, or the root, in a partition is kept."""
    tree = runtime.file_tree(home)
    if name == ROOT_PROMISE:
        told = json.loads(tree.read(REGIONS_FILE))
        return judge_regions(
            told["names"].split(),
            told["published"],
            told["pending"],
            told.get("held", ""),
        )
    in_force = read_in_force(tree)
    waiting = judge_waiting(in_force)
    if waiting is not None:
        return waiting
    assert in_force is not None
    return await LOOKS[name](runtime, tree, in_force)


async def _look_at_links(_: Runtime, tree: IFileTree, __: InForce) -> Judgement:
    home = tree.subtree(LINKS_HOME)
    stunnel = StunnelProcess(home.root)
    configuration = home.read(CONFIGURATION)
    taken = home.read(IN_FORCE) if home.status(IN_FORCE) is not None else None
    return judge_links(
        is_running=stunnel.pid() is not None,
        is_taken=taken is None or taken == configuration,
        wanted=accepts_named(configuration.decode()),
        listening=stunnel.listening(),
    )


async def _look_at_quorum(
    runtime: Runtime, tree: IFileTree, in_force: InForce
) -> Judgement:
    answer = await _ask(runtime, in_force)
    wanted = read_asked(tree).wanted
    obstacle = may_create(wanted, in_force.published, answer)
    verdict = read_verdict(tree, f"{NEO_HOME}/{VERDICT_FILE}")
    return judge_quorum(in_force, answer, verdict, obstacle)


async def _look_at_lag(
    runtime: Runtime, tree: IFileTree, in_force: InForce
) -> Judgement:
    answer = await _ask(runtime, in_force)
    asked = read_asked(tree)
    cells = asked.wanted.cells
    judgement = judge_lag(in_force, answer, cells=cells)
    if not answer.is_running:
        return judgement
    complaint = complain_of_copier(runtime, tree, asked, in_force, answer)
    if judgement.is_kept and not complaint:
        return judgement
    outlook = await look_at_holders(runtime, tree.root)
    said = "; ".join(filter(None, (outlook.sentence, complaint)))
    return judge_lag(in_force, answer, said, cells)


async def _look_at_certificates(
    runtime: Runtime, tree: IFileTree, in_force: InForce
) -> Judgement:
    expires = {}
    for file in (OWN_PIN, NEXT_PIN):
        pin = read_key(tree, f"{LINKS_HOME}/{file}", in_force.name)
        if pin is not None:
            expires[f"links ({file})"] = pin.expires_at
    ends, problem = problems_of(runtime, tree.root)
    return judge_certificates({**expires, **ends}, problem, runtime.calendar.now())


async def _look_at_replica(
    runtime: Runtime, tree: IFileTree, in_force: InForce
) -> Judgement:
    url = in_force.own.replica_url
    cells = read_asked(tree).wanted.cells
    if not url or cells.waits:
        return judge_replica(url, "", cells)
    home = tree.path(IDENTITY_HOME)
    trust = trust_masters(runtime, paths_below(home))
    client = HttpClient(runtime, trust)
    try:
        reply = await client.send(
            "GET", f"{url}/readyz", timeout_seconds=READY_SECONDS_MAX
        )
        refusal = "" if reply.status == HTTPStatus.OK else reply.body.decode()
    except (ConnectionFailed, BadCredentials) as error:
        refusal = str(error)
    finally:
        await client.close()
    return judge_replica(url, refusal.strip())


async def _look_at_disk(_: Runtime, tree: IFileTree, __: InForce) -> Judgement:
    return judge_disk(tree.subtree(NEO_HOME).free_bytes())


LOOKS: Mapping[str, Looking] = {
    "links": _look_at_links,
    "quorum": _look_at_quorum,
    "lag": _look_at_lag,
    "replica": _look_at_replica,
    "certificates": _look_at_certificates,
    "disk": _look_at_disk,
}
assert tuple(LOOKS) == PROMISES


async def _ask(runtime: Runtime, in_force: InForce) -> Answer:
    (answer, *_) = await ask(runtime, (in_force.admin_node,))
    return answer
