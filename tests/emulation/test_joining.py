"""A computer joins a replica of the master: real programs, real TLS."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from master_cluster.authority.issuing import Region
from runtime.certificates import describe_first
from runtime.files import DirectoryTree
from runtime.identity_directory import IdentityDirectory, paths_below
from runtime.identity_files import CredentialPaths
from runtime.keys import Keys
from slap import calls
from slap.errors import Forbidden
from slap.identities import Identity, Role, identity_of
from slap.model import Certificate, Partition, PartitionKey, RequestedInstance
from slapgrid.config import Config, read_config
from slapgrid.recipe.master_link import MasterLinks, link_all
from tests.authorities import a_leaf, a_region, write_region
from tests.builders import (
    a_computer_definition,
    an_installation,
    an_instance_request,
)
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


def ask_as_an_instance(config: Config, person: CredentialPaths, pki: Path) -> None:
    """Do what recipes do, with the certificate that the replica made, and no other."""
    dead, roots = "https://[::1]:1", config.master_ca_file

    def links(key: str, chain: str) -> MasterLinks:
        return link_all((dead, *config.master_urls), key, chain, roots)

    computer = links(config.key_file, config.cert_file)
    key = PartitionKey("COMP-1", "slappart0")
    wanted = an_instance_request(title="root")
    definition = a_computer_definition(2, computer_id="COMP-1")
    computer.perform(calls.define_computer(definition))
    asking = links(person.key, person.chain)
    asking.perform(calls.supply(an_installation(computer_id="COMP-1")))
    release = wanted.software_release_url
    computer.perform(calls.report_available(release, "COMP-1"))
    requested = asking.perform(calls.request_instance(wanted))
    assert isinstance(requested, RequestedInstance)
    assert requested.key == key
    given = computer.perform(calls.get_certificate(key))
    assert isinstance(given, Certificate)
    pki.mkdir()
    for name, text in (("key", given.key), ("crt", given.certificate)):
        (pki / name).write_text(text)
    own = links(str(pki / "key"), str(pki / "crt"))
    place = own.perform(calls.get_partition(key))
    assert isinstance(place, Partition)
    assert place.instance is not None
    assert place.instance.title == "root"
    child = an_instance_request(title="child", requester=key)
    assert isinstance(own.perform(calls.request_instance(child)), RequestedInstance)
    own.perform(calls.publish_connection(key, {"url": "http://[::1]/"}, None))
    own.perform(calls.bang_instance(key, "something changed"))
    with pytest.raises(Forbidden, match="slappart1 of COMP-1 is not of instance"):
        own.perform(calls.get_partition(PartitionKey("COMP-1", "slappart1")))


def test_a_computer_joins_by_tls_and_is_known(tmp_path: Path) -> None:
    """And so are instances on it, which ask by themselves."""
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
        config = read_config(settings.read_text())
        ask_as_an_instance(config, paths_below(str(ada)), tmp_path / "pki")

    assert json.loads(joined.stdout)["computer_id"] == "COMP-1", joined.stderr
    chain = Path(config.cert_file).read_text()
    assert identity_of(describe_first(chain).uris) == Identity(Role.COMPUTER, "COMP-1")
    assert config.master_urls == (url,)
    assert config.relaying.listen == "127.0.0.1:5000"
    repository = str(settings.parent / "certificates")
    assert config.instance.certificate_directory == repository
