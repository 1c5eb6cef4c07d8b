"""Shell. The software products of a ``slapos.cfg``: ``software_product_list``.

As for the reference, a line is a title and the address of its release, with a space
between them; of two lines for one title the last one counts.
"""

from __future__ import annotations

import configparser

from master_cluster.errors import Misconfigured
from master_cluster.products import PRODUCT_COUNT_MAX

SECTIONS = frozenset({"slapos", "slapproxy"})
"""The reference reads both as one: of two lists the one that stands first counts."""


def read_products(parser: configparser.ConfigParser) -> dict[str, str]:
    """Return releases by title; ``Misconfigured`` names the line that is wrong."""
    texts = (
        parser.get(it, "software_product_list", fallback="")
        for it in parser.sections()
        if it in SECTIONS
    )
    found: dict[str, str] = {}
    for line in next(filter(None, texts), "").splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) != len(("title", "url")):
            raise Misconfigured(
                f"software_product_list: {line.strip()!r} is not a title and an"
                " address, with a space between them"
            )
        found[words[0]] = words[1]
    if len(found) > PRODUCT_COUNT_MAX:
        raise Misconfigured(
            f"software_product_list: there are at most {PRODUCT_COUNT_MAX} products"
        )
    return found
