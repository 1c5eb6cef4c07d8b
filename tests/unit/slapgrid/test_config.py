"""The settings of the agent."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest

from slapgrid.config import Config, ConfigError, read_config

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
    partition_amount=3,
    ipv6_network=IPv6Network("fd00:1::/64"),
    instance_free_bytes_min=20 * 1024 * 1024,
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
    assert [EXPECTED.partition_address(index) for index in range(3)] == [
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
        ("software_root", "soft", "software_root must be an absolute path, not 'soft'"),
        ("partition_amount", "many", "[slapformat] partition_amount must be a number"),
        ("partition_amount", "-1", "partition_amount must be 0 to 16000, not -1"),
        ("ipv6_network", "fd00::1/64", "[slapformat] ipv6_network must be an IPv6"),
        ("ipv6_network", "fd00::/127", "ipv6_network fd00::/127 is too small for 3"),
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
