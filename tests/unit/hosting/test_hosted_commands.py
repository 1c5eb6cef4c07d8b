"""``slapcluster hosted``: three regions in real directories, whose programs rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen
from click.testing import CliRunner, Result

from runtime.ports import Runtime
from runtime.real import build_runtime
from slap.reports import InstanceReport, TreeReport
from slapcluster.cli import cli
from slapcluster.session import Session
from tests.reactor import ReactorBench
from tests.sessions import once
from tests.unit.hosting.regions import NAMES
from tests.unit.recipe.loopback_master import LoopbackMaster, serve

ROOT_PARAMETERS = {"regions": " ".join(NAMES), "storage": "create"}
REGIONS = "paris=1 lyon=2 tokyo=3"


@frozen
class Computers:
    """The computers of three regions, and whoever has the root of the cloud."""

    top: Path
    run_real: ReactorBench
    master: LoopbackMaster

    def type(self, *words: str, told: object = None) -> Result:
        runtime: Runtime = build_runtime(self.run_real.reactor)
        session = Session(launch=once(lambda main: self.run_real(main(runtime))))
        argv = ("--output", "json", *words)
        return CliRunner().invoke(cli, argv, obj=session, input=json.dumps(told))

    def configure(
        self, name: str = "", release_url: str = "http://old/", **parameters: str
    ) -> Result:
        """A pass of a region, or of the root; the former has published itself."""
        home = self.top / (name or "root")
        home.mkdir(exist_ok=True)
        number = NAMES.index(name) + 1 if name else 9
        told = {
            "software_type": "region" if name else "default",
            "release_url": release_url,
            "parameters": {
                **ROOT_PARAMETERS,
                **({"region": name} if name else {}),
                **parameters,
            },
            "connection": {
                "server_urls": self.master.url,
                "computer_id": "COMP-1",
                "partition_id": "slappart0",
            },
            "ipv4": f"127.0.0.{number}",
            "ipv6": f"fd00::{number}",
            "first_port": 20000,
        }
        options = ("--home", str(home), "--bin", str(self.top), "--stunnel", "/st")
        options += ("--release", str(self.top / "release"))
        return self.type("hosted", "configure", *options, told=told)

    def publish(self, name: str, /, **parameters: str) -> dict[str, str]:
        done = self.configure(name, **parameters)
        assert done.exit_code == 0, done.output
        published: dict[str, str] = json.loads(done.stdout)["published"]
        return published

    def programs(self, name: str) -> set[str]:
        """What a region runs, without the digits."""
        files = (self.top / name / "etc" / "service").iterdir()
        return {it.name.rpartition("-")[0] for it in files}

    def content(self, name: str) -> dict[Path, tuple[int, bytes]]:
        files = (it for it in (self.top / name).rglob("*") if it.is_file())
        return {it: (it.stat().st_mtime_ns, it.read_bytes()) for it in files}


@pytest.fixture
def computers(tmp_path: Path, run_real: ReactorBench) -> Iterator[Computers]:
    requested = TreeReport("cloud", (a_requested("paris", leg="1"),))
    with serve(lambda _: requested) as master:
        yield Computers(tmp_path, run_real, master)


def a_requested(name: str, **parameters: str) -> InstanceReport:
    """A region as the master knows it, which is settled."""
    return InstanceReport(
        name,
        "cloud",
        f"I-{name}",
        "cloud",
        "http://old/",
        "region",
        is_shared=False,
        requested_state="started",
        parameters={"regions": REGIONS, **parameters},
        connection_parameters={
            "address": "fd00::1",
            "settled": parameters.get("leg", ""),
        },
    )


def test_regions_run_when_all_are_there_and_stay_when_one_is_silent(computers):
    """Alone each publishes; together they run NEO; the replica when it is signed."""
    alone = {name: computers.publish(name) for name in NAMES}
    assert all(computers.programs(it) == set() for it in NAMES)
    unlinked = computers.type("hosted", "store", str(computers.top / "lyon"))
    assert "has no store yet: paris, tokyo has not published" in unlinked.output
    silent = computers.type("hosted", "check", "quorum", str(computers.top / "lyon"))
    assert json.loads(silent.stdout)["sentence"] == (
        "paris, tokyo has not published yet"
    )

    authority = sign(computers, alone)
    shared = {"published": json.dumps(alone), "authority": json.dumps(authority)}
    paris = computers.publish("paris", **shared)
    lyon = computers.publish("lyon", **shared)

    everything = {"stunnel", "neo-master", "storage-node", "admin-node", "replica"}
    assert computers.programs("lyon") == everything
    assert computers.programs("paris") == {*everything, "creator"}
    assert lyon == {**alone["lyon"], "replica-url": "https://[fd00::2]:20003"}
    assert paris["storage"] == "none"
    text = (computers.top / "lyon/srv/links/stunnel.conf").read_text()
    assert "accept = fd00::2:20000" in text
    assert "0.0.0.0" not in text

    store = computers.type("hosted", "store", str(computers.top / "lyon"))
    assert json.loads(store.stdout)["store_uri"].startswith("neo:slapcluster@[fd00::1]")

    before = computers.content("lyon")
    computers.publish("lyon", authority=shared["authority"])
    after = computers.content("lyon")
    asked = computers.top / "lyon" / "etc" / "asked.json"
    assert {it: after[it] for it in after if it != asked} == {
        it: before[it] for it in before if it != asked
    }
    certificates = computers.type(
        "hosted", "check", "certificates", str(computers.top / "lyon")
    )
    assert certificates.exit_code == 0, certificates.output


def test_a_region_without_a_database_has_all_copied_where_there_are_cells(computers):
    """Whoever has seen cells says so; nobody looks for any before."""
    alone = {name: computers.publish(name) for name in NAMES}
    computers.publish("tokyo", published=json.dumps(alone))
    assert "copier" not in computers.programs("tokyo")
    alone["lyon"]["storage"] = "created"
    computers.publish("tokyo", published=json.dumps(alone))
    assert "copier" in computers.programs("tokyo")


def test_a_region_that_is_elsewhere_asks_for_another_key(computers):
    """The certificate of the one before is no fault, and of no use."""
    alone = {name: computers.publish(name) for name in NAMES}
    shared = {
        "published": json.dumps(alone),
        "authority": json.dumps(sign(computers, alone)),
    }
    computers.publish("lyon", **shared)
    shutil.rmtree(computers.top / "lyon")

    anew = computers.publish("lyon", **shared)

    assert anew["certificate-request"] != alone["lyon"]["certificate-request"]
    assert anew["replica-url"] == ""
    assert "replica" not in computers.programs("lyon")
    signed = sign(computers, {"lyon": anew})
    again = computers.publish("lyon", **{**shared, "authority": json.dumps(signed)})
    assert again["replica-url"]


def sign(computers: Computers, published: dict[str, dict[str, str]]) -> dict[str, str]:
    """What the operator does, who has the root."""
    root, signed = computers.top / "keys", {}
    assert computers.type("authority", "create", str(root)).exit_code == 0
    for name, told in published.items():
        file = computers.top / f"{name}.csr"
        file.write_text(told["certificate-request"])
        words = ("authority", "sign", str(root), "region", name, str(file))
        assert computers.type(*words).exit_code == 0
        signed[name] = file.with_suffix(".crt").read_text()
    return signed


def test_the_root_names_its_regions_and_promises_them(computers):
    """What it publishes is of what they published."""
    done = computers.configure()
    told = json.loads(done.stdout)
    assert told["names"] == "paris lyon tokyo"
    old = {"software-url": "http://old/", "parameters": {"regions": REGIONS}}
    assert json.loads(told["each"]) == {
        "paris": {**old, "parameters": {"regions": REGIONS, "leg": "1"}},
        "lyon": old,
        "tokyo": old,
    }
    assert told["held"] == '""'
    promises = (computers.top / "root" / "etc" / "promise").iterdir()
    assert [it.name for it in promises] == ["regions"]
    published = {"paris": {"address": "fd00::1", "storage": "created"}, "lyon": {}}
    answer = computers.type(
        "hosted", "publication", told={"configured": told, "regions": published}
    )
    assert json.loads(answer.stdout)["storage"] == "paris"
    (computers.top / "root" / "etc" / "regions.json").write_text(
        json.dumps({"names": "paris", "published": published, "pending": {}})
    )
    kept = computers.type("hosted", "check", "regions", str(computers.top / "root"))
    assert (kept.exit_code, json.loads(kept.stdout)["is_kept"]) == (0, True)


def test_the_root_has_one_region_take_up_another_release(computers):
    """And its promise says which one is waited for."""
    told = json.loads(computers.configure(release_url="http://new/").stdout)

    assert json.loads(told["each"])["paris"] == {
        "software-url": "http://new/",
        "parameters": {"regions": REGIONS, "leg": "2"},
    }
    held = json.loads(told["held"])
    assert held == "paris takes up http://new/"
    published = {it: {"storage": "created"} for it in NAMES}
    (computers.top / "root" / "etc" / "regions.json").write_text(
        json.dumps(
            {
                "names": told["names"],
                "published": published,
                "pending": {},
                "held": held,
            }
        )
    )
    broken = computers.type("hosted", "check", "regions", str(computers.top / "root"))
    assert broken.exit_code == 1
    assert json.loads(broken.stdout)["sentence"] == held


def test_a_region_proves_its_turn_until_it_is_settled(computers):
    """And one that is needed goes on as it was."""
    alone = {name: computers.publish(name) for name in NAMES}
    shared = {"published": json.dumps(alone)}
    computers.publish("lyon", **shared)
    assert "prover" not in computers.programs("lyon")

    begun = computers.publish("lyon", release_url="http://new/", leg="1", **shared)
    assert (begun["release-url"], begun["settled"]) == ("http://new/", "")
    assert "prover" in computers.programs("lyon")
    (computers.top / "lyon/etc/settled").write_text("1\n")
    settled = computers.publish("lyon", release_url="http://new/", leg="1", **shared)
    assert settled["settled"] == "1"
    assert "prover" not in computers.programs("lyon")

    in_force = computers.top / "lyon/etc/region.json"
    in_force.write_text(in_force.read_text().replace('"none"', '"created"'))
    before = computers.content("lyon")
    held = computers.configure(
        "lyon", release_url="http://old/", leg="2", colour="red", **shared
    )
    assert held.exit_code == 1
    assert "It goes on with what it has: nobody knows" in held.output
    assert computers.content("lyon") == before


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("", {"regions": "paris"}, "regions: 1 are named; an odd number, 3 or more"),
        ("", {"colour": "red"}, "colour: no such parameter"),
        ("lyon", {"authority": '{"lyon": "x"}'}, "The certificate of lyon: "),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(computers, name, parameters, sentence):
    """Which becomes the error of the instance."""
    done = computers.configure(name, **parameters)
    assert done.exit_code == 1
    assert sentence in done.output
