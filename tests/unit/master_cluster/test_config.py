from __future__ import annotations

import pytest

from master_cluster.config import Config, read_reference_config
from master_cluster.errors import Misconfigured
from master_cluster.forwarding import Masters
from runtime.ports import TcpAddress

REFERENCE = """\
[slapos]
computer_id = local_computer
master_url = http://127.0.0.1:8123
software_root = /opt/slapgrid

[slapproxy]
host = ::1
port = 8124
database_uri = /opt/slapgrid/slapproxy.db
"""

MANY_PRODUCTS = "software_product_list =" + "".join(
    f"\n  product{number} https://x/" for number in range(1001)
)


def test_a_configuration_of_the_reference_is_understood() -> None:
    assert read_reference_config(REFERENCE) == Config(
        store_uri="file:/opt/slapgrid/slapproxy.db.zodb",
        listen=TcpAddress("::1", 8124),
        default_computer_id="local_computer",
        masters=Masters(own_urls=("http://127.0.0.1:8123",)),
    )


PRODUCTS = """\
software_product_list =
  erp5 https://x/1/software.cfg

  kvm   https://x/2/software.cfg
  erp5 https://x/3/software.cfg
"""


def test_software_products_are_understood() -> None:
    assert read_reference_config(REFERENCE + PRODUCTS).products == {
        "erp5": "https://x/3/software.cfg",
        "kvm": "https://x/2/software.cfg",
    }


def test_of_two_lists_of_products_the_one_that_stands_first_counts() -> None:
    first = "[slapos]\nsoftware_product_list =\n  kvm https://x/\n"

    products = read_reference_config(first + REFERENCE + PRODUCTS).products

    assert products == {"kvm": "https://x/"}


def test_the_address_of_the_master_stands_in_for_a_missing_one() -> None:
    text = REFERENCE.replace("host = ::1\nport = 8124\n", "")

    assert read_reference_config(text).listen == TcpAddress("127.0.0.1", 8123)


def test_the_name_of_loopback_is_its_address() -> None:
    text = REFERENCE.replace("::1", "localhost")

    assert read_reference_config(text).listen == TcpAddress("127.0.0.1", 8124)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "database_uri is missing"),
        ("[slapproxy", "is not understood"),
        (REFERENCE.replace("8124", "http"), "the port is not a number"),
        (REFERENCE.replace("8124", "99999"), "99999 is not a port"),
        (REFERENCE.replace("::1", "example.org"), "is not a numeric address"),
        (REFERENCE.replace("::1", "0.0.0.0"), "on loopback only"),
        (REFERENCE.replace("::1", "::"), "on loopback only"),
        (REFERENCE + "software_product_list = kvm", "'kvm' is not a title and an"),
        (REFERENCE + "software_product_list = a = https://x/", "is not a title and"),
        (REFERENCE + MANY_PRODUCTS, "at most 1000 products"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        read_reference_config(text)


def test_a_master_with_authentication_may_listen_anywhere() -> None:
    config = Config("memory:", TcpAddress("::", 443), is_loopback_only=False)

    assert config.listen == TcpAddress("::", 443)
