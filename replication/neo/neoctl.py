"""Shell. Asks the admin nodes of a neo_cluster, each within a bound.

NEO's own client waits without end for an admin node that is silent. So the questions
are put by a program of their own, which an alarm wakes and whose end is awaited within
a bound: ``main`` is what runs there, ``ask`` what starts it. It writes a line of JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from replication.answers import NO_ANSWER, RUNNING, Answer, decode_answers
from replication.observation import StorageId
from runtime.ports import Program, Runtime

if TYPE_CHECKING:
    from neo.neoctl.neoctl import NeoCTL  # type: ignore[import-untyped]

ADMIN_SECONDS_MAX = 4
"""An admin node answers from memory or asks the primary once."""

AGAIN_SECONDS_MAX = 2
"""When another admin node waited in vain for the same primary."""

START_SECONDS_MAX = 20
"""Of a Python that loads NEO, on a loaded machine."""


async def ask(runtime: Runtime, admin_nodes: Sequence[str]) -> tuple[Answer, ...]:
    """What each of these says; a failure for each that does not."""
    return await _run(runtime, "look", admin_nodes)


async def start_neo_cluster(runtime: Runtime, admin_node: str) -> str:
    """Have the cells made, or the neo_cluster started without what is missing.

    ``""``, or why it is refused.
    """
    (answer, *_) = await _run(runtime, "start", (admin_node,))
    return answer.failure


async def change_holders(
    runtime: Runtime, admin_node: str, verb: str, storage: StorageId
) -> str:
    """Have everything copied to a storage node too (``add``), or to others (``drop``).

    ``""``, or why it is refused.
    """
    (answer, *_) = await _run(runtime, f"{verb}={storage}", (admin_node,))
    return answer.failure


async def _run(
    runtime: Runtime, verb: str, admin_nodes: Sequence[str]
) -> tuple[Answer, ...]:
    ended = await runtime.processes.run(
        Program(
            (sys.executable, "-P", "-m", __name__, verb, *admin_nodes),
            directory="/",
            environment=python_environment(),
            timeout_seconds=START_SECONDS_MAX + ADMIN_SECONDS_MAX * len(admin_nodes),
        )
    )
    return decode_answers(ended.output)


def python_environment() -> dict[str, str]:
    """The environment in which another Python finds what this one does."""
    return {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}


class _Silent(Exception):
    """The alarm: an admin node did not answer in time."""


def _on_alarm(_number: int, _frame: FrameType | None) -> None:
    raise _Silent


def main() -> None:
    word, *admin_nodes = sys.argv[1:]
    verb, _, storage = word.partition("=")
    signal.signal(signal.SIGALRM, _on_alarm)
    silent: set[str] = set()
    act = {
        "look": lambda asked: _look(asked, silent),
        "start": _start,
        "add": lambda asked: _add(asked, int(storage)),
        "drop": lambda asked: _drop(asked, int(storage)),
    }[verb]
    documents = [_bounded(act, admin_node) for admin_node in admin_nodes]
    sys.stdout.write(json.dumps(documents) + "\n")


def _bounded(act: Callable[[NeoCTL], dict[str, Any]], address: str) -> dict[str, Any]:
    from neo.lib.util import parseNodeAddress  # type: ignore[import-untyped] # noqa: PLC0415
    from neo.neoctl.neoctl import NeoCTL, NotReadyException  # noqa: PLC0415

    asked = NeoCTL(parseNodeAddress(address))
    signal.alarm(ADMIN_SECONDS_MAX)
    try:
        return {"admin_node": address, **act(asked)}
    except NotReadyException as error:
        return {"admin_node": address, "failure": str(error)}
    except RuntimeError as error:
        return {"admin_node": address, "failure": _refusal(error)}
    except _Silent:
        sentence = f"{NO_ANSWER} within {ADMIN_SECONDS_MAX} s"
        return {"admin_node": address, "failure": sentence}
    finally:
        signal.alarm(0)
        asked.close()


def _refusal(error: RuntimeError) -> str:
    """NEO raises the whole packet: its last part is the sentence."""
    (packet,) = error.args
    return str(packet[-1]) if isinstance(packet, tuple) else str(error)


def _look(asked: NeoCTL, silent: set[str]) -> dict[str, Any]:
    """What an admin node says; ``silent`` primaries are waited for less."""
    from neo.lib.protocol import uuid_str  # type: ignore[import-untyped] # noqa: PLC0415

    cluster_state = str(asked.getClusterState())
    table_number, _, rows = asked.getPartitionRowList()
    document: dict[str, Any] = {
        "cluster_state": cluster_state,
        "primary": uuid_str(asked.getPrimary()),
        "nodes": [
            (uuid_str(node_id), str(kind), _shown(address), str(node_state))
            for kind, address, node_id, node_state, _ in asked.getNodeList()
        ],
        "table_number": table_number,
        "rows": [
            [(uuid_str(node_id), str(cell_state)) for node_id, cell_state in row]
            for row in rows
        ],
    }
    if cluster_state == RUNNING:
        _look_further(asked, document, silent)
    return document


def _look_further(asked: NeoCTL, document: dict[str, Any], silent: set[str]) -> None:
    """Ask what the admin node has to ask its primary for.

    It may be that region which is cut off: those of other regions are asked too.
    """
    primary = document["primary"]
    if primary in silent:
        signal.alarm(AGAIN_SECONDS_MAX)
    try:
        document["last_transaction"] = asked.getLastTransaction().hex()
    except _Silent:
        silent.add(primary)
        document["is_primary_silent"] = True


def _shown(address: tuple[str, int] | None) -> str:
    if address is None:
        return ""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _start(asked: NeoCTL) -> dict[str, Any]:
    asked.startCluster()
    return {}


def _add(asked: NeoCTL, storage: StorageId) -> dict[str, Any]:
    asked.enableStorageList([storage])
    return {}


def _drop(asked: NeoCTL, storage: StorageId) -> dict[str, Any]:
    asked.dropNode(storage)
    return {}


if __name__ == "__main__":
    main()
