"""Our reader of TioXML beside the schema of the reference, on drawn documents.

The schema stands in slapos.core; lxml reads it there, in its own environment.
"""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from slap.errors import MalformedDocument
from slap.tioxml import decode_journal, encode_journal
from slap.usage import Journal, Movement
from slapgrid.reporting.merging import Consumed, merge
from tests import programs
from tests.builders import a_usage_document
from tests.interop.stock import stock_environment
from tests.strategies import usage_journals, usage_movements

DOCUMENT_COUNT = 1000
WRITTEN_COUNT = 200
GOLDEN = Path(__file__).parents[1] / "golden" / "slapgrid" / "usage-day.xml"
"""What a day of ours looks like."""

VALIDATE = """
import importlib.util, json, os, sys
from lxml import etree
home = os.path.join(os.path.dirname(importlib.util.find_spec("slapos.slap").origin))
schema = etree.XMLSchema(file=os.path.join(home, "doc", "computer_consumption.xsd"))
with open(sys.argv[1]) as file:
    documents = json.load(file)
def judge(document):
    try:
        return schema.validate(etree.fromstring(document.encode()))
    except etree.XMLSyntaxError:
        return False
print(json.dumps([judge(it) for it in documents]))
"""

NUMBERS = ("1", "-1.5", " 2 ", "1e3", "+.5", "5.", "INF", "NaN", "1,5", "x", "", "0x1")
TAGS = (
    *("title", "start_date", "stop_date", "reference", "currency", "payment_mode"),
    *("category", "arrow", "source", "movement", "resource", "quantity", "price"),
    *("VAT", "journal", "transaction", "unknown"),
)


def draw_document(entropy: random.Random) -> str:
    """A valid document, changed a few times at random places."""
    root = ET.fromstring(a_usage_document())
    for _ in range(entropy.choice((0, 1, 1, 1, 2, 2, 3))):
        change(root, entropy)
    return ET.tostring(root, encoding="unicode")


def change(root: ET.Element, entropy: random.Random) -> None:
    places = [(parent, child) for parent in root.iter() for child in parent]
    if not places:
        return
    parent, child = entropy.choice(places)
    index = list(parent).index(child)
    match entropy.randrange(8):
        case 0:
            parent.remove(child)
        case 1:
            parent.insert(index, copy.deepcopy(child))
        case 2:
            parent.remove(child)
            parent.insert(entropy.randrange(len(parent) + 1), child)
        case 3:
            child.tag = entropy.choice(TAGS)
        case 4:
            parent.insert(index, ET.Element(entropy.choice(TAGS)))
        case 5:
            child.set(entropy.choice(("type", "id")), "x")
        case 6:
            child.text = entropy.choice((*NUMBERS, "text", "\n  "))
        case _:
            for number in root.iter(entropy.choice(("quantity", "price"))):
                number.text = entropy.choice(NUMBERS)


def refusal_of(document: str) -> str:
    try:
        decode_journal(document)
    except MalformedDocument as error:
        return str(error)
    return ""


def judge(documents: list[str], directory: Path) -> list[bool]:
    """Whether the schema of the reference accepts each of them."""
    drawn = directory / "documents.json"
    drawn.write_text(json.dumps(documents))
    done = programs.run(
        [str(stock_environment() / "python"), "-c", VALIDATE, str(drawn)]
    )
    assert done.returncode == 0, done.stderr
    verdicts: list[bool] = json.loads(done.stdout)
    return verdicts


def test_nothing_is_accepted_that_the_schema_refuses(tmp_path: Path) -> None:
    """And what we refuse alone is what the decision page says."""
    entropy = random.Random(14)
    documents = [draw_document(entropy) for _ in range(DOCUMENT_COUNT)]
    accepted = judge(documents, tmp_path)

    refusals = [refusal_of(it) for it in documents]
    verdicts = list(zip(documents, accepted, refusals, strict=True))
    assert [it for it in verdicts if not it[1] and not it[2]] == []
    alone = [why for _, is_accepted, why in verdicts if is_accepted and why]
    assert [it for it in alone if "is no finite number" not in it] == []
    assert 0.1 < accepted.count(True) / DOCUMENT_COUNT < 0.9
    assert len(alone) < accepted.count(True) / 2


def test_the_schema_accepts_whatever_we_write(tmp_path: Path) -> None:
    """Any journal, what instances report in one document, and our own days."""
    documents: list[str] = []

    @settings(max_examples=WRITTEN_COUNT, deadline=None)
    @given(usage_journals(), st.lists(usage_movements(), min_size=1, max_size=5))
    def write(journal: Journal, movements: list[Movement]) -> None:
        consumed = Consumed("slappart0", tuple(movements))
        documents.append(encode_journal(journal))
        documents.append(merge([consumed], "COMP-1", 1.7e9, "1700000000-ab"))

    write()
    documents += (GOLDEN.read_text(),)

    assert judge(documents, tmp_path) == [True] * len(documents)
    assert [refusal_of(it) for it in documents] == [""] * len(documents)
