"""Shell. Hateoas, as far as stock clients read it, and the way in for new computers.

==================================================== ==================================
address                                              answer
==================================================== ==================================
``GET /getHateoasUrl``                               the address of the next, as text
``GET /hateoas``                                     where to search and to look
``GET /hateoas/?mode=search&query=...``              rows of what is found
``GET /hateoas/?mode=traverse&relative_url=...``     one thing
``GET /hateoas/computer_module/Base_getComputerToken``  a token for a new computer
``POST /Person_requestComputer``                     its certificate, for the token
``POST /Person_getCertificate``                      a person's, for a token
==================================================== ==================================
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from attrs import evolve
from twisted.web.resource import Resource
from twisted.web.server import Request

from master_cluster.answering.certificates import CertificateAnswers
from master_cluster.answering.desk import Desk
from master_cluster.browsing import FoundComputer
from master_cluster.provisioning import Purpose
from master_cluster.statuses import status_of_computer
from master_cluster.store import browsing
from master_cluster.web.hateoas_documents import (
    Json,
    render_found,
    render_root,
    render_view,
)
from master_cluster.web.hateoas_query import parse_location, parse_search
from master_cluster.web.origin import find_origin
from master_cluster.web.replying import (
    Run,
    Serving,
    body_of,
    call_of,
    headers_of,
    text_of,
)
from runtime.ports import Runtime
from slap.answers import JSON, TEXT
from slap.calls import HttpAnswer, encode_answer
from slap.errors import BadRequest, MethodNotAllowed, NotFound
from slap.form import Form, parse_form
from slap.model import Certificate

TOKEN_HEADER = "x-access-token"  # noqa: S105 - where it stands, not what it is

TOKEN_PATH = "computer_module/Base_getComputerToken"  # noqa: S105 - an address

RPC_HATEOAS_URL = b"slapos.get.v0.hateoas_url"

VIEW = "slaposjs_view"
"""The one view that clients ask for."""

READING = ("GET", "HEAD")


def publish_hateoas(
    gate: Resource, desk: Desk, runtime: Runtime, run: Run, *, has_trusted_proxy: bool
) -> None:
    """Put everything of this module where clients look for it."""
    certificates = CertificateAnswers(desk)
    addresses = _Addresses(has_trusted_proxy=has_trusted_proxy)
    gate.putChild(b"getHateoasUrl", HateoasUrl(runtime, run, addresses))
    gate.putChild(RPC_HATEOAS_URL, HateoasUrlByRpc(runtime, run, addresses))
    gate.putChild(b"hateoas", Hateoas(runtime, run, addresses, desk, certificates))

    async def register_computer(token: str, form: Form) -> Certificate:
        return await certificates.register_computer(token, form.text("title"))

    async def register_person(token: str, _: Form) -> Certificate:
        return await certificates.register_person(token)

    for name, register in (
        (b"Person_requestComputer", register_computer),
        (b"Person_getCertificate", register_person),
    ):
        gate.putChild(name, Registration(runtime, run, register))


class _Addresses:
    """Where hateoas is, in the eyes of whoever asks."""

    def __init__(self, *, has_trusted_proxy: bool) -> None:
        self._has_trusted_proxy = has_trusted_proxy

    def base(self, request: Request) -> str:
        listening = request.getHost()
        host = f"[{listening.host}]" if ":" in listening.host else listening.host
        origin = find_origin(
            headers_of(request),
            f"{host}:{listening.port}",
            is_secure=request.isSecure(),
            has_trusted_proxy=self._has_trusted_proxy,
        )
        below = b"/".join((request.prepath or ())[:-1]).decode("ascii")
        return f"{origin}/{below}/hateoas" if below else f"{origin}/hateoas"


class HateoasUrl(Serving):
    """Says where hateoas is."""

    def __init__(self, runtime: Runtime, run: Run, addresses: _Addresses) -> None:
        super().__init__(runtime, run)
        self._addresses = addresses

    async def _answer(self, request: Request) -> HttpAnswer:
        _check_verb(request, READING)
        body = self._addresses.base(request).encode("ascii")
        return HttpAnswer(HTTPStatus.OK, {"Content-Type": TEXT}, body)


class HateoasUrlByRpc(Serving):
    """Says the same in JSON-RPC; only HTTP knows the address that the client used."""

    def __init__(self, runtime: Runtime, run: Run, addresses: _Addresses) -> None:
        super().__init__(runtime, run)
        self._addresses = addresses

    async def _answer(self, request: Request) -> HttpAnswer:
        call = call_of(request)
        return encode_answer(call.method, self._addresses.base(request))


class Hateoas(Serving):
    """The documents."""

    def __init__(
        self,
        runtime: Runtime,
        run: Run,
        addresses: _Addresses,
        desk: Desk,
        certificates: CertificateAnswers,
    ) -> None:
        super().__init__(runtime, run)
        self._addresses = addresses
        self._desk = desk
        self._certificates = certificates

    async def _answer(self, request: Request) -> HttpAnswer:
        _check_verb(request, READING)
        inner = "/".join(text_of(it) for it in request.postpath or ())
        if inner == TOKEN_PATH:
            token = await self._certificates.give_token(Purpose.COMPUTER)
            return _json({"access_token": token})
        if inner:
            raise NotFound(f"no document {inner[:80]!r}")
        form = parse_form(request.uri.partition(b"?")[2])
        match form.text("mode", "root"):
            case "root":
                return _json(render_root(self._addresses.base(request)))
            case "search":
                return _json(await _search(self._desk, form))
            case "traverse":
                return _json(await _look(self._desk, form))
        raise BadRequest("mode: not one of root, search, traverse")


class Registration(Serving):
    """Gives a certificate for a token."""

    def __init__(
        self,
        runtime: Runtime,
        run: Run,
        register: Callable[[str, Form], Awaitable[Certificate]],
    ) -> None:
        super().__init__(runtime, run)
        self._register = register

    async def _answer(self, request: Request) -> HttpAnswer:
        _check_verb(request, ("POST",))
        token = headers_of(request).get(TOKEN_HEADER, "")
        issued = await self._register(token, parse_form(body_of(request)))
        return _json({"certificate": issued.certificate, "key": issued.key})


async def _search(desk: Desk, form: Form) -> Json:
    wanted, columns = parse_search(form), form.text("select_list", "")
    return await desk.ask(
        # In a thread of the store: ten thousand rows take a while to write, too.
        lambda cloud: render_found(browsing.search(cloud, wanted), columns)
    )


async def _look(desk: Desk, form: Form) -> Json:
    if form.text("view", VIEW) != VIEW:
        raise BadRequest(f"view: {VIEW} is the only one")
    location = parse_location(form.text("relative_url"))
    found = await desk.read(browsing.look, location)
    if isinstance(found, FoundComputer):
        contact = desk.contacts.contact(found.computer_id, desk.now())
        found = evolve(found, status_text=status_of_computer(contact).text)
    return render_view(found)


def _check_verb(request: Request, allowed: tuple[str, ...]) -> None:
    if text_of(request.method) not in allowed:
        raise MethodNotAllowed(f"this wants {allowed[0]}", ", ".join(allowed))


def _json(document: Json) -> HttpAnswer:
    headers = {"Content-Type": JSON, "Cache-Control": "no-store"}
    body = json.dumps(document, sort_keys=True).encode("ascii")
    return HttpAnswer(HTTPStatus.OK, headers, body)
