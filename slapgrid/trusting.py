"""Shell. How a program of ours and the masters of its cloud know each other."""

from __future__ import annotations

from runtime.identity_files import CredentialFiles, CredentialPaths
from runtime.ports import Runtime
from runtime.tls import ServerTrust
from slap.identities import refusal_of_master
from slapgrid.config import Config


def trust_masters(runtime: Runtime, paths: CredentialPaths) -> ServerTrust:
    """Take any master of the cloud whose root is in a file; the others are its own."""
    return ServerTrust(
        CredentialFiles(runtime, paths), lambda peer: refusal_of_master(peer.uris)
    )


def trust_of(runtime: Runtime, config: Config) -> ServerTrust | None:
    """Return that of an agent; ``None`` without a root, when it speaks no TLS."""
    if not config.master_ca_file:
        return None
    paths = CredentialPaths(config.master_ca_file, config.cert_file, config.key_file)
    return trust_masters(runtime, paths)
