"""The file of a cloud: what it says, and the sentence for each way to say it wrong."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapcluster.bootstrap.wanted_cloud import (
    BadCloud,
    WantedComputer,
    read_cloud,
    release_url_of,
)

WHOLE = """
name = "cloud"

[mini-master]
listen = "[2001:db8:1::1]:5443"

[computers.paris-1]
region = "paris"
address = "2001:DB8:1::1"
command = ["ssh", "root@paris-1", "slapcluster"]
settings = "/etc/slapos.cfg"

[computers.lyon-1]
region = "lyon"

[computers.lyon-2]
region = "lyon"

[computers.tokyo-1]
region = "tokyo"
"""


def test_a_whole_file_is_read() -> None:
    cloud = read_cloud(WHOLE)

    assert cloud.name == "cloud"
    assert cloud.mini_master_url == "https://[2001:db8:1::1]:5443"
    assert cloud.regions == ("paris", "lyon", "tokyo")
    assert cloud.release_url == ""
    paris, lyon, *_ = cloud.computers
    command = ("ssh", "root@paris-1", "slapcluster")
    assert paris == WantedComputer(
        "paris-1", "paris", command, "2001:db8:1::1", "/etc/slapos.cfg"
    )
    assert paris.words("join") == (*command, "node", "--cfg", "/etc/slapos.cfg", "join")
    assert lyon.words("join") == ("node", "join")


def test_a_release_has_one_address_on_each_computer_for_ever() -> None:
    own = 'name = "cloud"\nrelease = "http://127.0.0.1:5000/x/software.cfg"'

    assert release_url_of("abc") == (
        "http://127.0.0.1:5000/release/abc/software/master-cluster/software.cfg"
    )
    assert read_cloud(WHOLE.replace('name = "cloud"', own)).release_url == (
        "http://127.0.0.1:5000/x/software.cfg"
    )


def test_an_ipv4_mini_master_is_reached_without_brackets() -> None:
    text = WHOLE.replace("[2001:db8:1::1]:5443", "127.0.0.1:5443")

    assert read_cloud(text).mini_master_url == "https://127.0.0.1:5443"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("name", "nam", "nam: no such key"),
        ('name = "cloud"', "", "name is missing"),
        ('"cloud"', '"Cloud"', "name: 'Cloud': a name has lower-case letters"),
        ('"cloud"', "7", "name: 7: a name has"),
        ("listen", "listens", "mini-master.listens: no such key; listen are known"),
        ('"[2001:db8:1::1]:5443"', "5443", "mini-master.listen: write where"),
        (":5443", ":port", "'port' is no port"),
        (":5443", ":70000", "70000 is no port"),
        ("[2001:db8:1::1]", "[paris]", "mini-master.listen: '[paris]:5443'"),
        ("[computers.lyon-2]", "[computers.lyon-1]", "it is no TOML"),
        ("[computers.lyon-2]", '[computers."lyon 2"]', "computers.lyon 2: 1 to 63"),
        ('"tokyo"', '"lyon"', "of 2 regions (paris, lyon); an odd number, 3 or more"),
        ('"tokyo"', '"Tokyo"', "computers.tokyo-1.region: 'Tokyo'"),
        ('region = "tokyo"', "", "computers.tokyo-1.region is missing"),
        ('region = "tokyo"', "user = 1", "computers.tokyo-1.user: no such key"),
        ('"ssh", ', '"", ', "computers.paris-1.command: write the words"),
        ('["ssh", ', '[7, "', "it is no TOML"),
        ('"/etc/slapos.cfg"', '"slapos.cfg"', "settings: write an absolute path"),
        ('"2001:DB8:1::1"', '"paris"', "computers.paris-1.address: 'paris'"),
        (
            '[computers.tokyo-1]\nregion = "tokyo"',
            '[computers.tokyo-1]\nregion = "tokyo"\naddress = "2001:db8:1:0::1"',
            "computers.tokyo-1.address: 2001:db8:1::1 is that of paris-1",
        ),
        ('name = "cloud"', 'name = "a"\nrelease = "ftp://x"', "release: write the"),
        ('name = "cloud"', 'name = "a"\nneo-partitions = true', "neo-partitions: "),
        ("[mini-master]", "[[mini-master]]", "mini-master: write a table"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, sentence: str) -> None:
    assert old in WHOLE
    with pytest.raises(BadCloud) as caught:
        read_cloud(WHOLE.replace(old, new, 1))

    assert sentence in str(caught.value)


@given(st.text(max_size=60), st.integers(0, len(WHOLE)))
def test_no_text_does_anything_but_be_refused(text: str, place: int) -> None:
    with suppress(BadCloud):
        read_cloud(WHOLE[:place] + text + WHOLE[place:])
