"""A computer joins a replica of the master: real programs, real TLS."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from master_cluster.authority.issuing import Region
from runtime.certificates import describe_first
from runtime.files import DirectoryTree
from runtime.identity_directory import IdentityDirectory
from runtime.keys import Keys
from slap.identities import Identity, Role, identity_of
from slapgrid.config import read_config
from tests.authorities import a_leaf, a_region, write_region
from tests.programs import eventually, free_port, is_listening, run, running

MAIN = "from slapcluster.cli import main; main()"
PROGRAM = (sys.executable, "-c", MAIN, "--output", "json")
START_SECONDS = 20.0


def identify(place: Path, region: Region, identity: Identity) -> IdentityDirectory:
    """Make the identity directory of somebody whom the region has certified."""
    tree = DirectoryTree(str(place), lambda *_: None)  # type: ignore[arg-type,return-value]
    directory = IdentityDirectory(tree)
    now = time.time()  # noqa: TID251 - the programs have no other
    key = directory.make_key(Keys().new_private_key)
    directory.keep_roots(region.roots)
    directory.keep_chain(a_leaf(region, key, now, identity, ("::1",)).certificate, now)
    return directory


def test_a_computer_joins_by_tls_and_is_known(tmp_path: Path) -> None:
    region = a_region(Keys(), time.time())  # noqa: TID251 - as above
    home, ada = tmp_path / "home", tmp_path / "ada"
    replica = identify(home, region, Identity(Role.REPLICA, "lyon-1"))
    write_region(replica.tree, region)
    identify(ada, region, Identity(Role.PERSON, "ada"))
    port = free_port("::1")
    url = f"https://[::1]:{port}/"
    settings = tmp_path / "etc" / "slapos.cfg"
    master = (*PROGRAM, "master", "--listen", f"[::1]:{port}", "--identity", str(home))
    person = (*PROGRAM, "--master", url, "--identity", str(ada))
    joining = ("node", "join", url, "--cfg", str(settings), "--title", "attic")

    with running((*master, "--store", "memory:"), tmp_path / "master.log"):
        eventually(lambda: is_listening("::1", port), START_SECONDS, "it listens")
        given = run((*person, "computer", "token"))
        token = json.loads(given.stdout)["token"]
        joined = run((*PROGRAM, *joining, token))

    assert json.loads(joined.stdout)["computer_id"] == "COMP-1", joined.stderr
    config = read_config(settings.read_text())
    chain = Path(config.cert_file).read_text()
    assert identity_of(describe_first(chain).uris) == Identity(Role.COMPUTER, "COMP-1")
    assert config.master_urls == (url,)
    assert config.relaying.listen == "127.0.0.1:5000"
    repository = str(settings.parent / "certificates")
    assert config.instance.certificate_directory == repository
