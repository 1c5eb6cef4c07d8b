"""Shell. The forms that request, change and destroy instances.

Only a person's own instances, the roots of trees, are changed here: what an instance
requested is requested again, as its requester wants it, at each of its processings.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from attrs import evolve

from master_cluster.answering.checking import CheckedDesk
from master_cluster.answering.desk import Desk
from master_cluster.answering.forwarder import Forwarder
from master_cluster.answering.instances import InstanceAnswers
from master_cluster.records import InstanceRecord
from master_cluster.store import documents
from master_cluster.store.cloud import Cloud
from master_cluster.web.panel import addresses
from master_cluster.web.panel.fields import (
    OFFERED_STATES,
    InstanceForm,
    read_change,
    read_new,
    show_instance,
)
from master_cluster.web.panel.looking import PageTable
from master_cluster.web.panel.pages import Pages
from master_cluster.web.panel.parameters import show_parameters
from master_cluster.web.panel.versions import (
    ABSENT,
    ChangedMeanwhile,
    check_version,
    differences,
    digest_of,
    request_of,
)
from master_cluster.web.panel.visits import Visit, page_answer, redirection
from slap.calls import HttpAnswer
from slap.errors import BadRequest, NotFound, Refusal
from slap.form import Form
from slap.model import InstanceRequest, RequestedState

STALE_FORM = (
    "This form was made before the master started again, or by another browser."
    " Nothing changed yet: please look at it once more, and send it again."
)

_BAD = HTTPStatus.BAD_REQUEST.value
_CONFLICT = HTTPStatus.CONFLICT.value


class RequestingPages:
    """Forms about instances; each is taken whole or not at all."""

    def __init__(self, desk: Desk, forwarder: Forwarder | None, pages: Pages) -> None:
        self._desk = desk
        self._forwarder = forwarder
        self._pages = pages

    def table(self) -> PageTable:
        return {
            "request": self._request,
            "change": self._change,
            "switch": self._switch,
            "destroy": self._destroy,
        }

    async def _request(self, visit: Visit) -> HttpAnswer:
        if visit.form is None:
            form = InstanceForm(
                title=visit.query.text("title", ""),
                parameters=show_parameters({}, visit.query.text("shape", "")),
            )
            return page_answer(self._pages.new_instance(form, visit.token))
        typed, wanted = read_new(visit.form)

        def show(error: str, status: int) -> HttpAnswer:
            text = self._pages.new_instance(typed, visit.token, error)
            return page_answer(text, status)

        if "more" in visit.form.fields:
            typed = evolve(typed, parameters=typed.parameters.widened())
            return show("", HTTPStatus.OK.value)
        if typed.is_wrong or not visit.is_confirmed:
            return show(_fault_of(visit, typed), _BAD)
        try:
            await self._ask_for(wanted, _unless_changed(ABSENT, wanted))
        except ChangedMeanwhile as error:
            return show(error.sentence, _CONFLICT)
        except Refusal as error:
            return show(error.sentence, _BAD)
        return redirection(addresses.tree(wanted.title, "requested"))

    async def _change(self, visit: Visit) -> HttpAnswer:
        named = visit.query if visit.form is None else visit.form
        current = await self._root(named)
        if current.requested_state is RequestedState.DESTROYED:
            raise BadRequest(f"{current.title!r} is being destroyed: nothing to change")
        if visit.form is None:
            form = show_instance(current, visit.query.text("shape", ""))
            return page_answer(self._pages.change(form, visit.token))
        typed, wanted = read_change(visit.form, current)
        if "more" in visit.form.fields:
            typed = evolve(typed, parameters=typed.parameters.widened())
            return page_answer(self._pages.change(typed, visit.token))
        if typed.is_wrong or not visit.is_confirmed:
            fault = _fault_of(visit, typed)
            return page_answer(self._pages.change(typed, visit.token, fault), _BAD)
        try:
            await self._ask_for(wanted, _unless_changed(typed.seen, wanted))
        except ChangedMeanwhile as error:
            return self._show_conflict(visit, typed, wanted, error)
        except Refusal as error:
            text = self._pages.change(typed, visit.token, error.sentence)
            return page_answer(text, _BAD)
        done = "unchanged" if wanted == request_of(current) else "changed"
        return redirection(addresses.tree(wanted.title, done))

    def _show_conflict(
        self,
        visit: Visit,
        typed: InstanceForm,
        wanted: InstanceRequest,
        error: ChangedMeanwhile,
    ) -> HttpAnswer:
        """Show both versions; sending again replaces the one that is shown."""
        if error.current is None:
            raise error
        form = evolve(typed, seen=digest_of(error.current))
        found = differences(request_of(error.current), wanted)
        text = self._pages.change(form, visit.token, error.sentence, found)
        return page_answer(text, _CONFLICT)

    async def _switch(self, visit: Visit) -> HttpAnswer:
        """Start or stop, and leave all else as it is."""
        if visit.form is None:
            raise NotFound("there is no page here")
        current = await self._root(visit.form)
        wished = visit.form.text("requested_state")
        if wished not in OFFERED_STATES:
            raise BadRequest("requested_state: choose started or stopped")
        if not visit.is_confirmed:
            raise BadRequest(STALE_FORM)
        _check_identity(visit.form, current)
        if current.requested_state is RequestedState.DESTROYED:
            raise BadRequest(f"{current.title!r} is being destroyed")
        wanted = evolve(request_of(current), requested_state=RequestedState(wished))
        await self._ask_for(wanted, _unless_changed(digest_of(current), wanted))
        return redirection(addresses.tree(current.title, wished))

    async def _destroy(self, visit: Visit) -> HttpAnswer:
        named = visit.query if visit.form is None else visit.form
        current = await self._root(named)
        tree = await self._desk.read(documents.report_of_tree, current.title)

        def show(error: str, status: int) -> HttpAnswer:
            text = self._pages.destruction(
                tree.instances[0], len(tree.instances), visit.token, error
            )
            return page_answer(text, status)

        if visit.form is None:
            return show("", HTTPStatus.OK.value)
        if not visit.is_confirmed:
            return show(STALE_FORM, _BAD)
        _check_identity(visit.form, current)
        wanted = evolve(request_of(current), requested_state=RequestedState.DESTROYED)
        try:
            await self._ask_for(wanted, _unless_changed(digest_of(current), wanted))
        except Refusal as error:
            return show(error.sentence, _BAD)
        if current.is_shared:
            return redirection(addresses.trees(done="destroyed"))
        return redirection(addresses.tree(current.title, "destroyed"))

    async def _root(self, form: Form) -> InstanceRecord:
        title = form.text("title")
        root = await self._desk.read(Cloud.root, title)
        if root is None:
            raise NotFound(f"no instance tree {title!r}")
        return root

    async def _ask_for(
        self, wanted: InstanceRequest, check: Callable[[Cloud], None]
    ) -> None:
        answers = InstanceAnswers(CheckedDesk(self._desk, check), self._forwarder)
        await answers.table()["requestComputerPartition"](instance_request=wanted)


def _unless_changed(seen: str, wanted: InstanceRequest) -> Callable[[Cloud], None]:
    return lambda cloud: check_version(seen, cloud.root(wanted.title), wanted)


def _check_identity(form: Form, current: InstanceRecord) -> None:
    """Refuse what was meant for an instance of the same title that is gone."""
    if form.text("guid") != current.instance_guid:
        sentence = f"{current.title!r} is another instance than the one that was shown"
        raise ChangedMeanwhile(sentence, current)


def _fault_of(visit: Visit, typed: InstanceForm) -> str:
    if typed.is_wrong:
        return "Nothing changed: please look at the marked fields."
    return "" if visit.is_confirmed else STALE_FORM
