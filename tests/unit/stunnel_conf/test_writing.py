"""Links that are written, and read again."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from stunnel_conf.links import Endpoint, Export, Links, Peer, Span, decode_links
from stunnel_conf.writing import encode_links
from tests.unit.stunnel_conf.builders import lyon

NAMES = st.from_regex(r"\A[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
FILES = st.text(min_size=1).filter(lambda it: it.isprintable() and it.strip() != "")
PORTS = st.integers(1, 65_535)


@st.composite
def all_links(draw: st.DrawFn) -> Links:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    programs = draw(st.lists(NAMES, max_size=3, unique=True))
    ports = draw(st.lists(PORTS, min_size=len(programs), max_size=3, unique=True))
    own, *others = names
    return Links(
        own,
        "2001:db8::1",
        draw(FILES),
        Span("127.0.0.1", 10_000, 10_999),
        tuple(
            Export(
                program,
                port,
                Endpoint("::1", draw(PORTS)),
                frozenset(draw(st.sets(st.sampled_from(others or [own]))) - {own}),
            )
            for program, port in zip(programs, ports, strict=False)
        ),
        tuple(
            Peer(
                name,
                f"2001:db8::{number}",
                tuple(draw(st.lists(FILES, min_size=1, max_size=4))),
                draw(st.dictionaries(NAMES, PORTS, max_size=3)),
            )
            for number, name in enumerate(others, start=2)
        ),
    )


@given(all_links())
def test_what_is_written_is_read(links: Links) -> None:
    assert decode_links(tomllib.loads(encode_links(links))) == links


def test_a_file_that_was_read_is_written() -> None:
    assert decode_links(tomllib.loads(encode_links(lyon()))) == lyon()
