"""Core. A visit of a page, and what the browser gets."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from slap.calls import FORM_TYPE, HttpAnswer
from slap.errors import BadRequest, MethodNotAllowed
from slap.form import Form, parse_form

HTML = "text/html; charset=utf-8"

PAGE_NUMBER_LENGTH_MAX = 6

READING_VERBS = ("GET", "HEAD")


def _frozen(value: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(value))


@frozen
class Visit:
    """What a browser asks: ``page`` is the address below the panel's own.

    ``form`` is what it sent, ``query`` what stands in the address; ``token`` is for the
    forms of the answer. ``is_confirmed`` when the form that came is one of ours.
    """

    page: str
    query: Form
    form: Form | None = None
    token: str = ""
    is_confirmed: bool = False

    @property
    def page_number(self) -> int:
        text = self.query.text("page", "1")
        is_number = text.isascii() and text.isdigit()
        if not is_number or len(text) > PAGE_NUMBER_LENGTH_MAX:
            raise BadRequest("page: not a number")
        return int(text)


@frozen
class Call:
    """A visit as HTTP; the names of ``headers`` are in lower case."""

    verb: str
    page: str
    query: str = ""
    headers: Mapping[str, str] = field(converter=_frozen, factory=dict)
    body: bytes = b""
    is_secure: bool = False


def read_forms(call: Call) -> tuple[Form, Form | None]:
    """Return the fields of the address, and those of the body of a POST."""
    query = parse_form(call.query.encode(errors="surrogatepass"))
    if call.verb in READING_VERBS:
        return query, None
    if call.verb != "POST":
        raise MethodNotAllowed("a page is read with GET", "GET, HEAD, POST")
    content_type = call.headers.get("content-type", "").partition(";")[0]
    if content_type.strip().lower() != FORM_TYPE:
        raise BadRequest(f"a form is sent as {FORM_TYPE}")
    return query, parse_form(call.body)


def page_answer(text: str, status: int = 200) -> HttpAnswer:
    """Return a page; no copy of it may be kept, it can hold secrets."""
    headers = {"Content-Type": HTML, "Cache-Control": "no-store"}
    return HttpAnswer(status, headers, text.encode(errors="replace"))


def redirection(address: str, status: int = 303) -> HttpAnswer:
    """Send the browser to another page, which it reads with GET."""
    headers = {"Location": address, "Cache-Control": "no-store", "Content-Type": HTML}
    return HttpAnswer(status, headers, b"")
