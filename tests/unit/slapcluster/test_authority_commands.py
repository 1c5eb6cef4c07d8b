"""``slapcluster authority``: a root, regions and replicas in real directories."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest

from master_cluster.authority.region import RegionHome
from runtime.certificates import check_chain, describe, key_digest
from slap.identities import Identity, Role, identity_of
from slapcluster.certificate_views import Outlook
from tests.mortal import Killed
from tests.unit.slapcluster.safe import Safe

T = TypeVar("T")
DAY = 24 * 3600.0


@pytest.fixture
def safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Safe:
    monkeypatch.chdir(tmp_path)
    return Safe(tmp_path)


def test_a_replica_has_what_leads_to_the_root(safe: Safe) -> None:
    safe.make_region()

    held = safe.directory("home").held(safe.now)

    assert identity_of(held.described.uris) == Identity(Role.REPLICA, "lyon-1")
    assert held.described.addresses == ("::1",)
    assert (held.roots, held.described.issuer) == (
        safe.directory("root").roots(),
        "region lyon",
    )
    assert safe.outlooks("home") == {
        "root": "good",
        "region": "good",
        "own": "good",
    }
    assert not (safe.place / "home" / "root.key").exists()


def test_all_of_it_twice_changes_no_key(safe: Safe) -> None:
    safe.make_region()
    before = {it: it.read_text() for it in safe.place.glob("*/*.key")}

    safe.make_region()

    assert {it: it.read_text() for it in safe.place.glob("*/*.key")} == before
    assert safe.directory("home").held(safe.now)


@pytest.mark.parametrize("file_count", range(9))
def test_who_is_killed_before_a_file_types_the_same_again(
    safe: Safe, file_count: int
) -> None:
    """Two are of the root, five of the region and two of the replica."""
    safe.patience.left = file_count

    with pytest.raises(Killed):
        safe.make_region()
    kept = {it: it.read_text() for it in safe.place.glob("*/*.key")}
    safe.patience.left = 1_000_000
    safe.make_region()

    assert {it: it.read_text() for it in kept} == kept
    assert safe.directory("home").held(safe.now).described.name == "lyon-1"


def test_a_replica_elsewhere_and_a_link_are_signed_by_their_region(
    safe: Safe,
) -> None:
    safe.make_region()
    for role, name in (("replica", "lyon-2"), ("link", "tokyo")):
        asked = safe.read("request", role, name, "--home", name)
        file = asked["certificate_request"]
        signed = safe.read("sign", "home", role, name, file, "--address", "10.0.0.1")
        installed = safe.read("install", name, signed["file"])
        held = safe.directory(name).held(safe.now)

        assert installed["file"] == str(safe.place / name / "own.crt")
        assert identity_of(held.described.uris) == Identity(Role(role), name)
        assert check_chain(held.chain, safe.directory("root").roots(), safe.now)


def test_a_person_carries_away_a_request_and_gets_it_back(safe: Safe) -> None:
    result = safe.type("authority", "request", "region", "lyon", "--home", "home")

    assert "authority sign DIR region lyon region-lyon.csr" in result.output
    assert safe.outlooks("home") == {"region": "waiting"}
    assert key_digest((safe.place / "home" / "region.key").read_text())


def test_what_is_signed_is_what_the_operator_says(safe: Safe) -> None:
    safe.make_region()
    file = safe.read("request", "link", "tokyo", "--home", "x")["certificate_request"]

    signed = safe.read("sign", "home", "link", "osaka", file)

    assert signed["name"] == "osaka"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "sign home region x x.csr",
            "home has no root.key: a region is signed in the root's",
        ),
        ("sign root link x x.csr", "root has no region.key: a link is signed in a"),
        ("sign root region a/b x.csr", "is no name of a certificate"),
        ("sign home replica x x.csr --address x", "'x' is no IP address"),
        ("sign root region x bad.csr", "Not one request for a certificate"),
        ("sign nothing region x x.csr", "nothing has no root.key"),
        ("install home bad.csr", "has no certificate"),
        ("install home root/root.crt", "has no certificate, but of roots at most"),
        ("install home x/link-x.crt", "No key in"),
        ("show empty", "has no key and no certificate"),
        ("request replica a/b --home x", "is no name of a certificate"),
        ("request replica b --home x --address b", "is no IP address"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    safe: Safe, words: str, sentence: str
) -> None:
    safe.make_region()
    file = safe.read("request", "link", "x", "--home", "x")["certificate_request"]
    Path("x.csr").write_bytes(Path(file).read_bytes())
    safe.read("sign", "home", "link", "x", file)
    Path("bad.csr").write_bytes(b"\xff\0bad")
    Path("empty").mkdir()
    before = {it: it.read_bytes() for it in safe.place.rglob("*.*")}

    said = safe.refused(*words.split())

    assert sentence in said
    assert {it: it.read_bytes() for it in safe.place.rglob("*.*")} == before


def test_a_certificate_of_another_cloud_is_not_installed(safe: Safe) -> None:
    safe.make_region()
    safe.read("create", "foreign")
    safe.read("sign", "foreign", "region", "lyon", "home/region-lyon.csr")

    said = safe.refused("install", "home", "home/region-lyon.crt")

    assert "is the root of another cloud" in said
    assert safe.outlooks("home")["region"] == "good"


def test_the_calendar_says_what_is_due_late_and_over(safe: Safe) -> None:
    safe.make_region()
    seen = []
    for days in (60, 16, 20, 400, 130, 120):
        safe.pass_days(days)
        found = safe.outlooks("home")
        seen.append((Outlook(found["region"]), Outlook(found["own"])))

    good, due, late, useless = (
        Outlook.GOOD,
        Outlook.DUE,
        Outlook.LATE,
        Outlook.USELESS,
    )
    assert seen == [
        (good, due),
        (good, late),
        (good, useless),
        (due, useless),
        (late, useless),
        (useless, useless),
    ]
    result = safe.type("authority", "show", "home")
    assert result.exit_code == 1
    assert "authority request region lyon --home home" in result.output


def test_a_region_that_was_renewed_renews_its_replica(safe: Safe) -> None:
    safe.make_region()
    safe.pass_days(490)
    safe.make_region()

    home = RegionHome(safe.directory("home").tree)
    assert safe.outlooks("home") == {"root": "good", "region": "good", "own": "good"}
    safe.pass_days(70)
    renewed = home.renew_own(safe.now)

    assert renewed is not None
    assert renewed.addresses == ("::1",)
    assert home.renew_own(safe.now) is None
    assert len(describe(safe.directory("home").chain())) == 2
