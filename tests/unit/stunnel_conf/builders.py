"""Links of a place called lyon, and certificates of names."""

from __future__ import annotations

import tomllib
from functools import cache

from runtime.keys import Keys
from stunnel_conf.links import Links, decode_links
from stunnel_conf.pins import sign_itself

NOW = 1_800_000_000.0

LYON = """
name = "lyon"
listen = "2001:db8:1::1"
certificate = "lyon.pem"
entries = "127.0.0.1:10000-10009"

[exports.database]
port = 15432
to = "127.0.0.1:5432"
peers = ["tokyo", "paris"]

[exports.web]
port = 14443
to = "[::1]:443"
peers = ["paris"]

[peers.tokyo]
address = "2001:db8:2::1"
certificates = ["tokyo.crt"]
reaches = { database = 15432, web = 443 }

[peers.paris]
address = "192.0.2.7"
certificates = ["paris-old.crt", "paris.crt"]
"""


def lyon(*changes: tuple[str, str]) -> Links:
    """The links with some of their text replaced."""
    text = LYON
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return decode_links(tomllib.loads(text))


@cache
def key(_: str) -> str:
    """The same for the same words."""
    return Keys().new_private_key()


def certificate(name: str, words: str = "", now: float = NOW, days: int = 30) -> str:
    return sign_itself(name, key(words or name), now, days)
