"""Shell. The server of a store as a program: composed and run."""

from __future__ import annotations

from master_cluster.errors import Misconfigured
from master_cluster.store.zeo_client import parse_address
from master_cluster.store.zeo_server import StorageService
from slapcluster.outcomes import CommandFailed
from slapcluster.running import serve


def run_storage_server(path: str, listen: str, *, is_debug: bool) -> None:
    """Serve a file until it is told to stop."""
    try:
        address = parse_address(listen)
        serve(lambda it: StorageService(path, address, it), is_debug=is_debug)
    except Misconfigured as error:
        raise CommandFailed(f"{error}.") from error
