"""Core. Links as a file: what ``links.decode_links`` reads, written."""

from __future__ import annotations

import json
from collections.abc import Iterable

from stunnel_conf.links import Links


def encode_links(links: Links) -> str:
    """Return the TOML of links, whose certificates are names of files."""
    lines = [
        f"name = {_quoted(links.name)}",
        f"listen = {_quoted(links.listen)}",
        f"certificate = {_quoted(links.certificate)}",
        f"entries = {_quoted(str(links.entries))}",
    ]
    for export in links.exports:
        lines += (
            "",
            f"[exports.{export.program}]",
            f"port = {export.port}",
            f"to = {_quoted(str(export.to))}",
            f"peers = {_listed(sorted(export.peers))}",
        )
    for peer in links.peers:
        reaches = (f"{program} = {port}" for program, port in peer.reaches.items())
        lines += (
            "",
            f"[peers.{peer.name}]",
            f"address = {_quoted(peer.address)}",
            f"certificates = {_listed(peer.certificates)}",
            f"reaches = {{ {', '.join(reaches)} }}",
        )
    return "\n".join(lines) + "\n"


def _listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _quoted(text: str) -> str:
    # A string of JSON is one of TOML, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
