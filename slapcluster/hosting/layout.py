"""Core. Where the files of a region stand in its partition, and what is promised.

Paths are relative to the partition.
"""

from __future__ import annotations

OWN_PIN = "own.pem"
NEXT_PIN = "next.pem"
PEER_PREFIX = "peer-"
LINKS_HOME = "srv/links"
LINKS_FILE = "srv/links/links.toml"
NEO_HOME = "srv/neo"
IDENTITY_HOME = "srv/identity"
DOCUMENTS_HOME = "srv/documents"
#: Of releases that were pushed to the replica; they outlive the one it runs from.
PUSHED_HOME = "srv/releases"
IN_FORCE_FILE = "etc/region.json"
#: What the last pass was asked, and by whom: others look at it between passes.
ASKED_FILE = "etc/asked.json"
#: The number of the last leg in which all promises were kept.
SETTLED_FILE = "etc/settled"
#: Of the root: what its regions published, and what they wait for.
REGIONS_FILE = "etc/regions.json"
#: When the promise `lag` banged last, for a copier.
COPIER_BANG_FILE = "etc/copier-bang.json"
SERVICE_DIRECTORY = "etc/service"
PROMISE_DIRECTORY = "etc/promise"

DIRECTORIES = (LINKS_HOME, NEO_HOME, SERVICE_DIRECTORY, PROMISE_DIRECTORY)

PROMISES = ("links", "quorum", "lag", "replica", "certificates", "disk")
"""Those of a region, by the names of their files."""

ROOT_PROMISE = "regions"

COPIER = "copier"
"""How the name of a program begins."""
