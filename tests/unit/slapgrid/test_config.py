"""The settings of the agent."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from attrs import NOTHING

from slapgrid.config import (
    AGENT,
    Config,
    every_key,
    find_unknown_keys,
    read_config,
)
from slapgrid.format.settings import FormatSettings
from slapgrid.instance.settings import InstanceSettings
from slapgrid.neighbours.settings import NeighbourSettings
from slapgrid.settings import ConfigError
from slapgrid.stock_keys import IGNORED, REFUSED

STOCK = """\
[slapos]
computer_id = COMP-1
master_url = http://127.0.0.1:15001/
software_root = /srv/example/soft
instance_root = /srv/example/inst
pidfile_software = /srv/example/etc/sr.pid
instance_min_free_space = 20M
[slapformat]
interface_name = lo
partition_amount = 3
ipv6_network = fd00:1::/64
create_tap = true
"""
EXPECTED = Config(
    computer_id="COMP-1",
    master_urls=("http://127.0.0.1:15001/",),
    software_root="/srv/example/soft",
    instance_root="/srv/example/inst",
    format=FormatSettings(
        partition_amount=3,
        interface_name="lo",
        ipv6_network=IPv6Network("fd00:1::/64"),
    ),
    neighbours=NeighbourSettings(pidfile_software="/srv/example/etc/sr.pid"),
    instance=InstanceSettings(free_bytes_min=20 * 1024 * 1024),
)


def test_a_stock_file_is_read() -> None:
    """Keys that this agent has no use for are ignored."""
    assert read_config(STOCK) == EXPECTED


def test_overrides_win_over_the_file() -> None:
    """And may name several replicas."""
    read = read_config(STOCK, {"master_url": "http://[::1]:1, http://[::1]:2"})

    assert read.master_urls == ("http://[::1]:1", "http://[::1]:2")


def test_partitions_have_successive_addresses() -> None:
    """The first two of a network are others'."""
    assert [EXPECTED.format.partition_address(index) for index in range(3)] == [
        "fd00:1::2",
        "fd00:1::3",
        "fd00:1::4",
    ]


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("computer_id", "", "[slapos] computer_id is missing"),
        ("computer_id", "a/b", "computer_id must be a plain name, not 'a/b'"),
        ("master_url", "", "[slapos] master_url is missing"),
        ("master_url", "ftp://x", "master_url must be an http URL, not 'ftp://x'"),
        (
            "master_url",
            "https://x",
            "master_url https://x needs master_ca_file, the ro",
        ),
        ("software_root", "soft", "software_root must be an absolute path, not 'soft'"),
        ("partition_amount", "many", "[slapformat] partition_amount must be a number"),
        ("partition_amount", "-1", "partition_amount must be 0 to 16000, not -1"),
        ("ipv6_network", "fd00::1/64", "[slapformat] ipv6_network must be an IPv6"),
        ("ipv6_network", "fd00::/127", "ipv6_network fd00::/127 is too small for 3"),
        ("maximum_periodicity", "a day", "[slapos] maximum_periodicity must be secon"),
        ("partition_timeout", "nan", "[slapos] partition_timeout must be seconds"),
        ("forbid_supervisord_automatic_launch", "maybe", "[slapos] forbid_super"),
        ("poll_interval", "0", "poll_seconds must be above 0"),
        ("instance_min_free_space", "x", "[slapos] instance_min_free_space must be"),
        ("instance_root", "/" + "i" * 95, "instance_root must have at most 91 bytes"),
    ],
)
def test_what_cannot_be_used_is_named(key: str, value: str, sentence: str) -> None:
    """The sentence says which key and what it needs."""
    with pytest.raises(ConfigError) as refused:
        read_config(STOCK, {key: value})

    assert str(refused.value).startswith(sentence)


def test_a_file_of_another_kind_is_refused() -> None:
    """With a sentence, not a traceback of the parser."""
    with pytest.raises(ConfigError, match="not a configuration file"):
        read_config("computer_id = COMP-1")


def test_numbers_of_the_file_are_numbers() -> None:
    """Stock nodes compare one with a text, and put their own over the other."""
    read = read_config(
        STOCK.replace(
            "[slapformat]",
            "maximum_periodicity = 3600\npromise_timeout = 45\n[slapformat]",
        )
    )

    assert (read.instance.periodicity_seconds, read.promises.timeout_seconds) == (
        3600.0,
        45.0,
    )


def test_certificates_of_instances_are_not_mandatory() -> None:
    """As they are for a stock node whose computer has one; without, it is told."""
    pair = "key_file = /pki/computer.key\ncert_file = /pki/computer.crt\n"
    without = read_config(STOCK.replace("[slapformat]", f"{pair}[slapformat]"))
    own = f"{pair}certificate_repository_path = /pki/own\n"
    with_own = read_config(STOCK.replace("[slapformat]", f"{own}[slapformat]"))

    assert (without.key_file, without.cert_file) == (
        "/pki/computer.key",
        "/pki/computer.crt",
    )
    assert [each.instance.certificate_directory for each in (without, with_own)] == [
        "",
        "/pki/own",
    ]


STOCK_KEYS = {
    "slapos": """
        computer_id master_url software_root instance_root key_file cert_file
        certificate_repository_path master_ca_file shared_part_list
        build_time_part_list buildout buildout_debug maximum_periodicity
        promise_timeout partition_timeout software_min_free_space
        instance_min_free_space instance_storage_home ipv4_global_network
        forbid_supervisord_automatic_launch root_check pidfile_software
        pidfile_instance pidfile_report pidfile maximal_delay manager_list
        power_user_list collect_cache only_sr only_cp""",
    "slapformat": """
        interface_name ipv6_interface ipv4_local_network partition_amount computer_xml
        computer_json log_file partition_base_name user_base_name tap_base_name
        software_user create_tap tap_ipv6 tap_gateway_interface create_tun tun_ipv6
        partition_has_ipv6_range ipv6_prefixshift alter_user alter_network
        instance_storage_home input_definition_file output_definition_file dry_run
        computer_model_id heating_sensor_id""",
    "collect": """
        report_disk_usage disk_snapshot_time_cycle disk_snapshot_process_pid_foder
        disk_snapshot_use_quota""",
    "networkcache": """
        download-cache-url download-dir-url download-binary-cache-url
        download-binary-dir-url upload-cache-url upload-dir-url
        upload-binary-cache-url upload-binary-dir-url signature-private-key-file
        signature-certificate-list shacache-ca-file shacache-cert-file
        shacache-key-file shadir-ca-file shadir-cert-file shadir-key-file
        download-from-binary-cache-url-blacklist upload-to-binary-cache-url-blacklist
        download-from-binary-cache-force-url-list""",
    "firewall": """
        firewall_executable firewall_cmd dbus_executable reload_config_cmd log_file
        authorized_sources testing""",
    "manager:devperm": "allowed-disk-for-vm",
}
"""What stock nodes read, by section."""


def test_each_stock_key_is_read_or_ignored_or_refused() -> None:
    """One of the three, so that nobody wonders."""
    places = [
        *((key.section, key.name) for _, key in every_key()),
        *IGNORED,
        *REFUSED,
    ]
    stock = {
        (section, name) for section, text in STOCK_KEYS.items() for name in text.split()
    }

    assert sorted(stock - set(places)) == []
    assert sorted(place for place in places if places.count(place) > 1) == []


def test_each_key_sets_a_field_of_its_own() -> None:
    """And what holds without the key is what the field says."""
    fields = [(area.settings, key.field) for area, key in every_key()]

    assert len(set(fields)) == len(fields)
    assert [
        key.name
        for area, key in every_key()
        if area is not AGENT and area.default(key) is NOTHING
    ] == []


@pytest.mark.parametrize("place", REFUSED)
def test_what_would_surprise_is_refused(place: tuple[str, str]) -> None:
    """Rather than ignored; an empty value asks for nothing."""
    section, name = place
    text = STOCK.replace(f"[{section}]", f"[{section}]\n{name} = {{}}")
    read_config(text.format(""))

    with pytest.raises(ConfigError) as refused:
        read_config(text.format("x"))

    assert str(refused.value).startswith(f"[{section}] {name} cannot be used: ")


def test_a_misspelt_key_is_named() -> None:
    """It is no error: the next version of the stock agent may know it."""
    text = f"{STOCK}partition_amuont = 4\n[slapproxy]\nhost = ::1\n[odd]\nkey = 1\n"

    assert read_config(text) == EXPECTED
    assert find_unknown_keys(text) == ("[slapformat] partition_amuont", "[odd] key")
