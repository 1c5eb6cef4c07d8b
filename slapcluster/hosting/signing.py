"""Core. Which keys of regions wait for the root of the cloud to sign them.

A region that is placed elsewhere makes another key there, since no key travels. It
publishes a request, and has no replica before a certificate of that key comes back as
the parameter ``authority`` of the master's own root instance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import evolve

from master_cluster.authority.asking import read_request
from runtime.certificates import describe_first, digest_of_key
from slap.model import InstanceRequest, RequestedState
from slap.reports import TreeReport
from slapcluster.hosting.wanted import read_root


def keys_to_sign(tree: TreeReport) -> dict[str, str]:
    """Return the requests of regions that are not signed yet, by name.

    ``Misasked`` for a tree that is not the master; ``BadRequest`` and
    ``BadCertificate`` for what is published or kept in it and is none.
    """
    root, *instances = tree.instances
    known = read_root(root.parameters)
    found = {
        it.parameters.get("region", ""): it.connection_parameters.get(
            "certificate-request", ""
        )
        for it in instances
        if it.requested_state != RequestedState.DESTROYED
    }
    return {
        name: found[name]
        for name in known.names
        if found.get(name) and not _is_signed(found[name], known.authority.get(name))
    }


def _is_signed(asked: str, certificate: str | None) -> bool:
    if not certificate:
        return False
    key = digest_of_key(read_request(asked))
    return describe_first(certificate).key_digest == key


def with_authority(
    wanted: InstanceRequest, signed: Mapping[str, str]
) -> InstanceRequest:
    """Return the request for the master with certificates of these regions too."""
    known = json.loads(wanted.parameters.get("authority", "{}"))
    authority = json.dumps({**known, **signed}, sort_keys=True)
    return evolve(wanted, parameters={**wanted.parameters, "authority": authority})
