"""Shell. Masters as programs: the mini-master and a replica, composed and run."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from master_cluster.authority.keeping import AskReplicas
from master_cluster.config import (
    CONNECTIONS_MAX,
    AccessLog,
    Config,
    read_reference_config,
)
from master_cluster.errors import Misconfigured
from master_cluster.service import MasterService, build_service
from master_cluster.store.storages import Opening, open_database
from runtime.identity_directory import paths_below
from runtime.ports import Runtime, TcpAddress
from runtime.tls import HANDSHAKES_MAX
from slap.calls import Call
from slap.replicas import ListedReplica, Replicas
from slapcluster.descriptors import raise_connections_max
from slapcluster.outcomes import CommandFailed
from slapcluster.running import serve
from slapgrid.slap_client import SlapClient
from slapgrid.trusting import trust_masters


def run_master(
    config_path: Path | None,
    *,
    listen: tuple[str, int] | None,
    store_uri: str | None,
    computer_id: str | None,
    release_directory: str | None,
    access_log: str = AccessLog.CHANGES.value,
    has_trusted_proxy: bool = False,
    is_log_json: bool = False,
    path_prefix: str = "",
    identity_directory: str | None = None,
    documents_directory: str | None = None,
    announced: tuple[str, str] | None = None,
    is_debug: bool = False,
) -> None:
    """Run a mini-master until it is told to stop; what is given wins over the file."""
    try:
        given = _given(config_path)
        if store_uri is None and given is None:
            raise CommandFailed(
                "Say where the state is kept: --store file:PATH, --store memory: or "
                "--cfg FILE."
            )
        base = given or Config(store_uri="")
        config = evolve(
            base,
            store_uri=store_uri or base.store_uri,
            listen=TcpAddress(*listen) if listen else base.listen,
            default_computer_id=computer_id or base.default_computer_id,
            release_directory=release_directory,
            access_log=AccessLog(access_log),
            has_trusted_proxy=has_trusted_proxy,
            connections_max=raise_connections_max(base.connections_max),
            path_prefix=path_prefix,
            identity_directory=identity_directory,
            documents_directory=documents_directory,
            announced=announced_replica(announced),
        )
        _run(config, is_debug=is_debug, is_log_json=is_log_json)
    except Misconfigured as error:
        raise CommandFailed(f"{error}.") from error


def run_replica(
    store_uri: str,
    listen: tuple[str, int],
    identity_directory: str,
    *,
    documents_directory: str | None,
    announced: tuple[str, str] | None,
    release_directory: str | None,
    pushed_directory: str | None = None,
    access_log: str = AccessLog.CHANGES.value,
    is_log_json: bool = False,
    path_prefix: str = "",
    receives: bool = False,
    is_debug: bool = False,
) -> None:
    """Run a replica, which speaks TLS, until it is told to stop."""
    connections_max = raise_connections_max(CONNECTIONS_MAX + HANDSHAKES_MAX)
    try:
        config = Config(
            store_uri=store_uri,
            listen=TcpAddress(*listen),
            release_directory=release_directory,
            pushed_directory=pushed_directory,
            access_log=AccessLog(access_log),
            connections_max=max(1, connections_max - HANDSHAKES_MAX),
            path_prefix=path_prefix,
            identity_directory=identity_directory,
            documents_directory=documents_directory,
            announced=announced_replica(announced),
            has_tls=True,
            receives=receives,
        )
        _run(config, is_debug=is_debug, is_log_json=is_log_json)
    except Misconfigured as error:
        raise CommandFailed(f"{error}.") from error


def _run(config: Config, *, is_debug: bool, is_log_json: bool) -> None:
    serve(
        lambda runtime: build_master(config, runtime),
        is_debug=is_debug,
        is_log_json=is_log_json,
    )


def build_master(
    config: Config, runtime: Runtime, opening: Opening = open_database
) -> MasterService:
    """Build a master that can ask other replicas, in its own name, if it has one."""
    ask = None
    if config.has_tls and config.identity_directory is not None:
        ask = ask_as(runtime, config.identity_directory)
    return build_service(config, runtime, opening, ask)


def ask_as(runtime: Runtime, identity_directory: str) -> AskReplicas:
    """Return how replicas are asked in the name of an identity directory."""

    async def ask(urls: tuple[str, ...], call: Call) -> object:
        trust = trust_masters(runtime, paths_below(identity_directory))
        client = SlapClient(runtime, Replicas(urls), trust=trust)
        try:
            return await client.perform(call)
        finally:
            await client.close()

    return ask


def announced_replica(announced: tuple[str, str] | None) -> ListedReplica | None:
    """Return where callers are told that a master is, if it has a place for them."""
    try:
        return None if announced is None else ListedReplica(*announced)
    except ValueError as error:
        raise CommandFailed(f"{error}.") from error


def _given(config_path: Path | None) -> Config | None:
    if config_path is None:
        return None
    return read_reference_config(config_path.read_text("utf-8"))
