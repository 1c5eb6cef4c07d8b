"""Shell. Masters of one cloud for a life, on one memory that nobody is told of."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from labsim.stores import SharedMemory, open_untold_memory
from labsim.world.host import Host
from master_cluster.config import Config
from master_cluster.forwarding import Masters
from master_cluster.service import build_service
from master_cluster.store.storages import Opening
from runtime.ports import TcpAddress

PORT = 5000
NO_OTHERS = Masters()


def boot_masters(hosts: Iterable[Host], others: Masters = NO_OTHERS) -> Opening:
    """Begin a master on each host; returns what opens their memory."""
    opening = open_untold_memory()
    for host in hosts:
        config = Config(
            SharedMemory.uri,
            TcpAddress(host.address, PORT),
            is_loopback_only=False,
            masters=others,
        )
        host.boot(partial(build_service, config, opening=opening))
    return opening


def url_of_master(host: Host) -> str:
    return f"http://[{host.address}]:{PORT}"
