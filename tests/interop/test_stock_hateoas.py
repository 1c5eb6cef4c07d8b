"""Stock commands that read hateoas, and those that bring a computer in.

The configuration names the address of the master and nothing else of it: no
``master_rest_url``, which the reference proxy needs.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import programs
from tests.interop.stock_cloud import COMPUTER, RELEASE, Cloud


def document_in(output: str) -> object:
    """The JSON document that a command prints; warnings follow it."""
    document, _ = json.JSONDecoder().raw_decode(output, output.index("{"))
    return document


def token_in(output: str) -> str:
    (line,) = [it for it in output.splitlines() if "Computer token: " in it]
    return line.split()[-1]


def library(cloud: Cloud, text: str) -> list[str]:
    """What a program of the stock library prints, a line each."""
    program = (
        "from slapos.slap import slap\nslap = slap()\n"
        f"slap.initializeConnection({cloud.url!r})\n{text}"
    )
    done = programs.run([str(cloud.slapos.with_name("python")), "-c", program])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_services_are_listed_and_shown(cloud: Cloud) -> None:
    cloud.format()
    empty = cloud.stock("service", "list")
    cloud.stock("request", "first", RELEASE, "--parameters", "greeting=<hey>")
    cloud.stock("request", "second", RELEASE, "--type", "big", "--state", "stopped")
    library(
        cloud,
        "slap.registerComputerPartition('local', 'slappart0')"
        ".setConnectionDict({'url': 'http://[::1]/'})",
    )

    listed = cloud.stock("service", "list")
    shown = cloud.stock("service", "info", "first")
    status, unknown = cloud.stock_status("service", "info", "nobody")

    assert document_in(empty) == {}
    assert document_in(listed) == {"first": RELEASE, "second": RELEASE}
    assert document_in(shown) == {
        "software-url": RELEASE,
        "software-type": "default",
        "shared": False,
        "requested-state": "started",
        "instance-parameters": {"greeting": "<hey>"},
        "connection-parameters": {"url": "http://[::1]/"},
        "status": "red",
    }
    assert (status, "Instance nobody does not exist." in unknown) == (2, True)


def test_news_of_a_service_are_shown(cloud: Cloud) -> None:
    cloud.format()
    cloud.stock("request", "first", RELEASE)
    library(cloud, "slap.registerComputerPartition('local', 'slappart0').started()")

    shown = document_in(cloud.stock("service", "info", "first", "--news"))

    assert isinstance(shown, dict)
    assert shown["status"] == "green"
    assert [it["text"] for it in shown["news"]] == [
        "#access Instance correctly started"
    ]


def test_more_services_than_a_page_of_the_reference_are_listed(cloud: Cloud) -> None:
    """The library asks for forty rows where the template lets it."""
    library(
        cloud,
        "import slapos.util\n"
        "parts = [{'reference': 'slappart%d' % n, 'address_list': [],"
        " 'tap': {'name': ''}} for n in range(60)]\n"
        "slap._connection_helper.POST('loadComputerConfigurationFromXML', data={"
        "'xml': slapos.util.dumps({'reference': 'local', 'address': '::1',"
        " 'netmask': 'x', 'partition_list': parts})})\n"
        "for number in range(50):\n"
        f"    slap.registerOpenOrder().request({RELEASE!r}, 'number %d' % number)",
    )

    listed = document_in(cloud.stock("service", "list"))

    assert isinstance(listed, dict)
    assert len(listed) == 50


def test_a_title_with_a_quote_is_refused(cloud: Cloud) -> None:
    status, output = cloud.stock_status("service", "info", 'a"b')

    assert status != 0
    assert "400 Client Error" in output


def test_computers_are_listed_and_shown(cloud: Cloud) -> None:
    empty = cloud.stock("computer", "list")
    cloud.format()

    listed = cloud.stock("computer", "list")
    shown = cloud.stock("computer", "info", COMPUTER)
    status, unknown = cloud.stock_status("computer", "info", "nobody")

    assert "No existing computer." in empty
    assert f"{COMPUTER} {COMPUTER}" in listed
    assert f"Computer Reference: {COMPUTER}" in shown
    assert f"Computer Title    : {COMPUTER}" in shown
    assert (status, "Computer nobody does not exist." in unknown) == (2, True)


def test_what_the_library_reads_of_hateoas(cloud: Cloud) -> None:
    cloud.format()
    cloud.stock("supply", RELEASE, COMPUTER)
    cloud.stock("request", "first", RELEASE, "--parameters", "a=1")

    lines = library(
        cloud,
        "hateoas = slap._hateoas_navigator\n"
        "order = slap.registerOpenOrder().getInformation('first')\n"
        "print(order._title, order._requested_state, order._parameter_dict)\n"
        "print(sorted(slap.getOpenOrderDict()), sorted(slap.getComputerDict()))\n"
        "print([it['title'] for it in hateoas.getInstanceTreeInstanceList('first')])\n"
        "print([it['url_string'] for it in hateoas.getSoftwareInstallationList()])\n"
        f"print(hateoas.getSoftwareInstallationNews('local', {RELEASE!r}))\n"
        "print(hateoas.getComputerNews('local'))\n"
        "print(hateoas.getComputerPartitionNews('local', 'slappart0')[:22])\n"
        "print(hateoas.getComputerPartitionNews('local', 'slappart1'))\n",
    )

    assert lines == [
        "first started {'a': '1'}",
        "['first'] ['local']",
        "['first']",
        f"['{RELEASE}']",
        f"#error no data found for {RELEASE}",
        "#access local",
        "#error no data found f",
        "#error no data found",
    ]


def test_the_console_reads_hateoas(cloud: Cloud) -> None:
    cloud.format()
    cloud.stock("request", "first", RELEASE, "--state", "stopped")

    output = cloud.stock(
        "console",
        stdin="order = slap.registerOpenOrder().getInformation('first')\n"
        "computer = slap.registerComputer('local').getInformation()\n"
        "print(order._requested_state, computer._title, sorted(slap.getComputerDict()))"
        "\n",
    )

    assert "stopped local ['local']" in output


def test_the_library_gets_certificates(cloud: Cloud, tmp_path: Path) -> None:
    """An instance gets the same again, and a computer one at a time."""
    cloud.format()
    cloud.stock("request", "first", RELEASE)

    lines = library(
        cloud,
        "import ssl\n"
        "partition = slap.registerComputerPartition('local', 'slappart0')\n"
        "first, again = partition.getCertificate(), partition.getCertificate()\n"
        "free = slap.registerComputerPartition('local', 'slappart1')\n"
        "print(first == again, free.getCertificate())\n"
        f"path = {str(tmp_path)!r} + '/pem'\n"
        "open(path, 'w').write(first['certificate'] + first['key'])\n"
        "ssl.create_default_context().load_cert_chain(path)\n"
        "computer = slap.registerComputer('local')\n"
        "print(sorted(computer.generateCertificate()))\n"
        "try:\n"
        "    computer.generateCertificate()\n"
        "except Exception as error:\n"
        "    print(error.response.status_code, error.response.text[:25])\n"
        "print(computer.revokeCertificate())\n"
        "print(sorted(computer.generateCertificate()))\n",
    )

    assert lines == [
        "True {'certificate': '', 'key': ''}",
        "['certificate', 'key']",
        "400 Certificate still active.",
        "None",
        "['certificate', 'key']",
    ]


def register(cloud: Cloud, token: str, title: str) -> tuple[int, str]:
    """What ``slapos node register`` does with the master; the rest needs root."""
    program = (
        "import logging, sys\n"
        "from slapos.cli.register import get_certificate_key_pair, get_computer_name\n"
        "logging.basicConfig()\n"
        "certificate, key = get_certificate_key_pair(\n"
        f"    logging.getLogger(), {cloud.url.rstrip('/')!r}, {title!r}, {token!r})\n"
        "print(get_computer_name(certificate))\n"
    )
    done = programs.run([str(cloud.slapos.with_name("python")), "-c", program])
    return done.returncode, done.stdout.strip() or done.stderr


def test_a_computer_registers_with_a_token(cloud: Cloud) -> None:
    """Its name stands in the certificate; the token is good once."""
    token = token_in(cloud.stock("computer", "token"))

    done = register(cloud, token, "attic")
    again = register(cloud, token, "cellar")
    taken = register(cloud, token_in(cloud.stock("computer", "token")), "attic")

    assert done == (0, "COMP-1")
    assert (again[0], "Access denied to the SlapOS Master" in again[1]) == (1, True)
    assert (taken[0], "is already in use" in taken[1]) == (1, True)
    assert "COMP-1 attic" in cloud.stock("computer", "list")


def test_a_client_is_configured_with_a_token(cloud: Cloud, tmp_path: Path) -> None:
    made = cloud.ours("computer", "token", "--person")
    assert isinstance(made, dict)
    home = tmp_path / "client"

    done = programs.run(
        [
            *(str(cloud.slapos), "configure", "client", "--token", made["token"]),
            *("--cfg", str(home / "slapos.cfg")),
            *("--master-url", cloud.url, "--master-url-web", cloud.url.rstrip("/")),
        ]
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "CN=PERS-1/emailAddress" in (home / "client.crt").read_text()
    assert (home / "client.key").read_text().startswith("-----BEGIN PRIVATE KEY")


@pytest.mark.parametrize("token", ["x", ""])
def test_a_client_is_not_configured_without_a_token(
    cloud: Cloud, tmp_path: Path, token: str
) -> None:
    done = programs.run(
        [
            *(str(cloud.slapos), "configure", "client", "--token", token or "none"),
            *("--cfg", str(tmp_path / "client" / "slapos.cfg")),
            *("--master-url", cloud.url, "--master-url-web", cloud.url.rstrip("/")),
        ]
    )

    assert done.returncode == 1
    assert "Access denied to the SlapOS Master" in done.stdout + done.stderr
