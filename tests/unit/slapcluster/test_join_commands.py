"""``slapcluster node join``: what is on disk afterwards, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from master_cluster.config import Config
from master_cluster.service import build_service
from slap.identities import Identity, Role, identity_of
from slapgrid.config import read_config
from stunnel_conf.pins import read_own, read_pin
from tests.unit.slapcluster.safe import Safe

URL = "http://127.0.0.1:5000/"


class Desk(Safe):
    """A mini-master with a region's authority, and a computer on the same host."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.make_region()
        config = Config("memory:", identity_directory=str(place / "home"))
        self.host.boot(lambda it: build_service(config, self.on_disk(it)))
        self.world.run_for(1)
        self.settings = place / "etc" / "slapos.cfg"

    def token(self) -> str:
        result = self.type("--output", "json", "computer", "token")
        token: str = json.loads(result.stdout)["token"]
        return token

    def join(self, token: str, *options: str) -> Result:
        words = ("--output", "json", "node", "join", URL, token, "--title", "attic")
        return self.type(*words, "--cfg", str(self.settings), *options)

    def joined(self, token: str, *options: str) -> Any:
        result = self.join(token, *options)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path)
    yield desk
    desk.world.finish()


def test_new_settings_are_those_of_a_computer_of_the_cloud(desk: Desk) -> None:
    joined = desk.joined(desk.token(), "--partitions", "3")

    home = desk.place / "etc" / "identity"
    config = read_config(desk.settings.read_text())
    assert (joined["computer_id"], joined["home"]) == ("COMP-1", str(home))
    assert (config.computer_id, config.master_urls) == ("COMP-1", (URL,))
    assert config.identity_directory == str(home)
    assert config.format.partition_amount == 3
    held = desk.directory("etc/identity").held(desk.now)
    assert identity_of(held.described.uris) == Identity(Role.COMPUTER, "COMP-1")


def test_settings_that_are_there_keep_all_else(desk: Desk) -> None:
    desk.settings.parent.mkdir()
    desk.settings.write_text(
        "# ours\n[slapos]\nsoftware_root = /opt/s\ninstance_root = /srv/i\n"
        "master_url = http://127.0.0.1:1/\n[slapformat]\npartition_amount = 7\n"
    )
    desk.settings.chmod(0o640)

    desk.joined(desk.token())

    text = desk.settings.read_text()
    config = read_config(text)
    assert text.startswith("# ours\n[slapos]\nsoftware_root = /opt/s\n")
    assert (config.computer_id, config.master_urls) == ("COMP-1", (URL,))
    assert (config.software_root, config.format.partition_amount) == ("/opt/s", 7)
    assert desk.settings.stat().st_mode & 0o777 == 0o640


def test_again_it_is_the_same_computer_and_no_file_changes(desk: Desk) -> None:
    token = desk.token()
    first = desk.joined(token)
    before = {it: it.stat().st_mtime_ns for it in desk.place.glob("etc/**/*")}

    assert desk.joined(token) == first
    assert {it: it.stat().st_mtime_ns for it in desk.place.glob("etc/**/*")} == before


def test_who_lost_the_settings_alone_gets_them_again(desk: Desk) -> None:
    token = desk.token()
    desk.joined(token)
    desk.settings.unlink()

    assert desk.joined(token)["computer_id"] == "COMP-1"
    assert read_config(desk.settings.read_text()).computer_id == "COMP-1"


def test_settings_of_another_computer_are_not_taken_by_chance(desk: Desk) -> None:
    desk.settings.parent.mkdir()
    text = (
        "[slapos]\ncomputer_id = COMP-99\nmaster_url = http://127.0.0.1:1/\n"
        "software_root = /opt/s\ninstance_root = /srv/i\n"
    )
    desk.settings.write_text(text)
    token = desk.token()

    refused = desk.join(token)

    assert refused.exit_code == 1
    assert "is of COMP-99 already: --force makes it another" in refused.output
    assert desk.settings.read_text() == text
    assert not (desk.settings.parent / "identity").exists()
    assert desk.joined(token, "--force")["computer_id"] == "COMP-1"
    assert desk.joined(token)["computer_id"] == "COMP-1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("not settings", "not a configuration file"),
        ("[slapos]\nsoftware_root = /opt/s\n", "instance_root is missing"),
        (
            "[slapos]\nsoftware_root = /a\ninstance_root = /b\nonly_sr = x\n",
            "only_sr cannot be used",
        ),
    ],
)
def test_settings_that_no_agent_reads_cost_no_token(
    desk: Desk, text: str, sentence: str
) -> None:
    desk.settings.parent.mkdir()
    desk.settings.write_text(text)
    token = desk.token()

    refused = desk.join(token)

    assert (refused.exit_code, desk.settings.read_text()) == (1, text)
    assert sentence in refused.output
    desk.settings.unlink()
    assert desk.joined(token)["computer_id"] == "COMP-1"


def test_a_used_token_is_refused_in_one_sentence(desk: Desk) -> None:
    token = desk.token()
    desk.joined(token)

    refused = desk.join(token, "--home", "elsewhere", "--force")

    assert refused.exit_code == 1
    assert refused.stderr == (
        "Error: The master refuses: the token is not known, used already or too old: "
        "ask for one.\n"
    )


def test_who_has_no_authority_says_where_to_go(desk: Desk) -> None:
    refused = desk.join("a" * 64)

    assert refused.exit_code == 1
    assert "the token names no root" in refused.output


def test_a_renewal_that_does_not_come_is_told_of_before_the_end(desk: Desk) -> None:
    """By the master, by the computer itself, and by the calendar."""
    desk.joined(desk.token())
    heard = []

    for days in (10, 66, 13):
        desk.pass_days(days)
        status = desk.type("--output", "json", "status")
        mine = desk.type("node", "status", "--cfg", str(desk.settings))
        show = desk.type("authority", "show", "etc/identity")
        warnings = json.loads(status.stdout)["warnings"]
        heard.append((len(warnings), "renew it" in mine.output, show.exit_code))

    assert heard == [(0, False, 0), (1, True, 1), (1, False, 1)]
    assert "The certificate of COMP-1 ended at" in warnings[0]
    assert "join again with a new token" in " ".join(mine.output.split())


def test_a_link_is_renewed_by_a_command_and_is_what_stunnel_is_given(
    desk: Desk,
) -> None:
    asked = desk.read("request", "link", "tokyo", "--home", "tokyo")
    signed = desk.read("sign", "home", "link", "tokyo", asked["certificate_request"])
    desk.read("install", "tokyo", signed["file"])

    serials = []
    for days in (0, 60, 0):
        desk.pass_days(days)
        serials.append(desk.read("renew", "tokyo")["serial"])
        own = read_own("tokyo", Path("tokyo/link.pem").read_text())
        pin = read_pin("tokyo", Path("tokyo/link.crt").read_text())
        assert own == pin
        assert pin.is_valid(desk.now)
        assert (
            pin.expires_at
            == desk.directory("tokyo").held(desk.now).described.expires_at
        )

    assert serials[0] != serials[1] == serials[2]
    assert Path("tokyo/link.pem").stat().st_mode & 0o777 == 0o600
    assert not Path("home/link.pem").exists()


def test_what_nobody_renews_is_refused(desk: Desk) -> None:
    asked = desk.read("request", "person", "ada", "--home", "ada")
    signed = desk.read("sign", "home", "person", "ada", asked["certificate_request"])
    desk.read("install", "ada", signed["file"])
    desk.pass_days(60)

    assert "person ada gets a certificate by a token alone" in desk.refused(
        "renew", "ada"
    )
    assert "root/own.key" in desk.refused("renew", "root")


def test_what_a_computer_holds_is_shown_as_json(desk: Desk) -> None:
    desk.joined(desk.token())

    result = desk.type(
        "--output", "json", "node", "status", "--cfg", str(desk.settings)
    )

    found = json.loads(result.stdout)
    assert [it["name"] for it in found["certificates"]] == [
        "slapcluster root",
        "COMP-1",
    ]
    assert found["identity_directory"] == str(desk.settings.parent / "identity")
