"""Shell. The panel: every visit comes in here, and gets a page whatever it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from http import HTTPStatus

from attrs import evolve, frozen

from master_cluster.answering.desk import Desk
from master_cluster.answering.forwarder import Forwarder
from master_cluster.web.panel import addresses
from master_cluster.web.panel.guarding import (
    SECURITY_HEADERS,
    Guard,
    check_origin,
    find_cookie,
    render_cookie,
)
from master_cluster.web.panel.looking import LookingPages, PageTable
from master_cluster.web.panel.pages import Pages
from master_cluster.web.panel.requesting import RequestingPages
from master_cluster.web.panel.supplying import SupplyingPages
from master_cluster.web.panel.templating import HOME, Templates
from master_cluster.web.panel.visits import (
    READING_VERBS,
    Call,
    Visit,
    page_answer,
    read_forms,
)
from master_cluster.web.replying import report_incident
from runtime.ports import Runtime
from slap.calls import HttpAnswer, encode_error
from slap.errors import MethodNotAllowed, NotFound, SlapError
from slap.form import Form

STATIC_TYPES = {
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@frozen
class StaticFile:
    """A file of the panel itself; the same for everybody."""

    content_type: str
    content: bytes

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    def answer(self, call: Call) -> HttpAnswer:
        """Answer the file, or that the browser has it."""
        if call.verb not in READING_VERBS:
            raise MethodNotAllowed("a file is read with GET", "GET, HEAD")
        headers = {
            "Content-Type": self.content_type,
            "ETag": self.etag,
            # Asked again each time, which costs a few bytes: a new version of the
            # panel must not wear an old style.
            "Cache-Control": "no-cache",
        }
        known = call.headers.get("if-none-match", "")
        if self.etag in (it.strip().removeprefix("W/") for it in known.split(",")):
            return HttpAnswer(HTTPStatus.NOT_MODIFIED.value, headers)
        return HttpAnswer(HTTPStatus.OK.value, headers, self.content)


class Panel:
    """Answers visits; never raises."""

    def __init__(
        self, desk: Desk, runtime: Runtime, forwarder: Forwarder | None = None
    ) -> None:
        self._runtime = runtime
        self._guard = Guard(runtime.keys.new_token())
        self._pages = Pages(Templates(runtime.calendar.now))
        looking = LookingPages(desk, self._pages)
        self._read_only = frozenset(looking.table())
        self._table: PageTable = {
            **looking.table(),
            **RequestingPages(desk, forwarder, self._pages).table(),
            **SupplyingPages(desk, self._pages, looking).table(),
        }
        self._files: Mapping[str, StaticFile] = {
            name: StaticFile(content_type, (HOME / name).read_bytes())
            for name, content_type in STATIC_TYPES.items()
        }

    async def answer(self, call: Call) -> HttpAnswer:
        """Return a page, a file, or a page that says why there is none."""
        try:
            answer = await self._answer(call)
        except SlapError as error:
            answer = self._refuse(error)
        except Exception:  # noqa: BLE001 - the boundary: nothing may leave
            answer = self._refuse(report_incident(self._runtime))
        return evolve(answer, headers={**SECURITY_HEADERS, **answer.headers})

    async def _answer(self, call: Call) -> HttpAnswer:
        file = self._files.get(call.page)
        if file is not None:
            return file.answer(call)
        page = self._table.get(call.page)
        if page is None:
            raise NotFound("there is no page here")
        query, form = read_forms(call)
        if form is not None and call.page in self._read_only:
            raise MethodNotAllowed("this page is read with GET", "GET, HEAD")
        known = find_cookie(call.headers.get("cookie", ""))
        cookie = known or self._runtime.keys.new_token()
        visit = Visit(call.page, query, form, self._guard.token(cookie))
        if form is not None:
            check_origin(call.headers)
            visit = evolve(visit, is_confirmed=self._is_ours(form, known))
        answer = await page(visit)
        if known is not None:
            return answer
        header = render_cookie(cookie, addresses.TOP, is_secure=call.is_secure)
        return evolve(answer, headers={**answer.headers, "Set-Cookie": header})

    def _is_ours(self, form: Form, cookie: str | None) -> bool:
        return self._guard.is_token(form.fields.get("token", ""), cookie)

    def _refuse(self, error: SlapError) -> HttpAnswer:
        answer = page_answer(
            self._pages.refusal(error.status, error.sentence), error.status
        )
        # Retry-After and Allow, as the methods of SLAP have them.
        return evolve(answer, headers={**encode_error(error).headers, **answer.headers})
