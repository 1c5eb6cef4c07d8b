"""Files of the agent beside those captured from stock nodes."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from slapgrid.config import Config
from slapgrid.layout import ProgramKind, release_directory
from slapgrid.profiles import (
    SlapConnection,
    render_instance_profile,
    render_software_profile,
)
from slapgrid.supervision.conf import (
    Account,
    ProgramDefinition,
    ProgramGroup,
    render_group,
    render_main,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "slapgrid"
PARTITION = "/srv/example/inst/slappart0"


def golden(name: str) -> str:
    return (GOLDEN / name).read_text()


def a_config(**overrides: object) -> Config:
    values = {
        "computer_id": "COMP-1",
        "master_urls": ("http://127.0.0.1:5000",),
        "software_root": "/srv/soft",
        "instance_root": "/srv/inst",
    }
    return Config(**{**values, **overrides})  # type: ignore[arg-type]


def test_the_tail_of_an_instance_profile_is_that_of_stock_nodes() -> None:
    """Ours adds one line, the empty version of the directory of eggs."""
    stock = golden("instance-buildout.cfg")
    template, _, _ = stock.partition("\n\n\n# This is beginning")
    connection = SlapConnection(
        "local_computer",
        "slappart0",
        "http://127.0.0.1:15000/",
        "/srv/example/sr/software.cfg",
        "started",
    )

    rendered = render_instance_profile(template, connection)

    body, added, rest = rendered.rpartition("eggs-directory-version =\n")
    assert added
    assert body + rest == stock + "\n" * (not stock.endswith("\n"))


def test_an_instance_is_told_the_root_of_the_cloud_where_there_is_one() -> None:
    """Recipes of ours know masters by it."""
    connection = SlapConnection(
        *("COMP-1", "slappart0", "https://[fd00::1]:5443", "http://x/", "started"),
        master_ca_file="/etc/root.crt",
    )

    rendered = render_instance_profile("[buildout]", connection)

    assert "master-ca-file = /etc/root.crt\n" in rendered


def test_an_instance_is_told_all_replicas_where_there_are_several() -> None:
    """Beside the one address that existing profiles refer to."""
    urls = ("https://[fd00::2]:5443", "https://[fd00::1]:5443")
    connection = SlapConnection(
        *("COMP-1", "slappart0", urls[1], "http://x/", "started"), server_urls=urls
    )

    rendered = render_instance_profile("[buildout]", connection)

    assert f"server-url = {urls[1]}\n" in rendered
    assert f"server-urls = {urls[0]} {urls[1]}\n" in rendered
    alone = evolve(connection, server_urls=(urls[1],))
    assert "server-urls" not in render_instance_profile("[buildout]", alone)


def test_no_value_of_a_connection_adds_lines_to_a_profile() -> None:
    """A URL with a line end is one option still."""
    connection = SlapConnection(
        "COMP-1",
        "slappart0",
        "http://master/",
        "http://x/\n[buildout]\na = b",
        "started",
    )

    rendered = render_instance_profile("[buildout]", connection)

    assert "software-release-url = http://x/ [buildout] a = b\n" in rendered


def test_a_software_profile_extends_the_release() -> None:
    """And hands on a directory of eggs that instances can use as it is."""
    assert render_software_profile(a_config(), "http://master/software.cfg") == (
        "[buildout]\n"
        "extends = http://master/software.cfg\n"
        "shared-part-list =\n  \n"
        "build-time-part-list =\n  \n"
        "eggs-directory-version =\n"
    )


def test_a_group_file_is_that_of_stock_nodes() -> None:
    """Byte for byte: whoever takes over finds nothing to change."""
    group = ProgramGroup(
        "slappart0",
        PARTITION,
        (
            ProgramDefinition("sleeper", ProgramKind.SERVICE),
            ProgramDefinition("init", ProgramKind.RUN),
        ),
        Account(1001, 1001, "nodew1", "/srv/example"),
    )

    assert render_group(group) == golden("supervisord.conf.d-slappart0.conf")


def test_the_main_file_includes_all_groups_and_our_interface() -> None:
    """And leaves file descriptors unset, as stock nodes do."""
    rendered = render_main("/srv/in%st", "sv.sock").splitlines()

    assert "files = /srv/in%%st/etc/supervisord.conf.d/*.conf" in rendered
    assert "[rpcinterface:slapgrid]" in rendered
    assert not any(line.startswith("minfds") for line in rendered)


def test_a_release_stands_in_the_md5_of_its_url() -> None:
    """As stock nodes do, and recipes rely on."""
    assert release_directory("/srv/example/sr/software.cfg") == (
        "f48a3eeff8ca066d1f962f45d92d27cc"
    )
