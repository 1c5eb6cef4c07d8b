"""Core. The form of an instance: what is typed, what is wrong with it, what it means.

What is wrong stands at its field, and everything typed stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from master_cluster.records import InstanceRecord
from master_cluster.web.panel.parameters import (
    TypedParameters,
    read_parameters,
    show_parameters,
    unix_lines,
)
from master_cluster.web.panel.versions import ABSENT, digest_of
from slap.arguments import DEFAULT_SOFTWARE_TYPE
from slap.form import NAME_LENGTH_MAX, Form
from slap.marshalling import unrepresentable
from slap.model import InstanceRequest, RequestedState, texts

OFFERED_STATES = (RequestedState.STARTED.value, RequestedState.STOPPED.value)
"""Destroying has a page of its own."""

CONDITION_COUNT_MAX = 32
"""Lines; there are some twenty keys."""


@frozen
class InstanceForm:
    """What stands in the fields; ``seen`` is the version it was made from.

    ``conditions`` has a line ``name = value`` for each condition on the place. They and
    the ``title`` are fixed once the instance exists.
    """

    title: str = ""
    software_release_url: str = ""
    software_type: str = DEFAULT_SOFTWARE_TYPE
    requested_state: str = RequestedState.STARTED.value
    is_shared: bool = False
    conditions: str = ""
    parameters: TypedParameters = field(factory=lambda: show_parameters({}))
    seen: str = ABSENT
    errors: Mapping[str, str] = texts()

    @property
    def is_wrong(self) -> bool:
        return bool(self.errors) or self.parameters.is_wrong

    @property
    def offered_states(self) -> tuple[str, ...]:
        return OFFERED_STATES


def show_instance(record: InstanceRecord, shape: str = "") -> InstanceForm:
    """Return the form of an instance as it is."""
    return InstanceForm(
        title=record.title,
        software_release_url=record.software_release_url,
        software_type=record.software_type,
        requested_state=record.wished_state.value,
        is_shared=record.is_shared,
        conditions=_render_conditions(record.allocation_filter),
        parameters=show_parameters(record.parameters, shape),
        seen=digest_of(record),
    )


def read_new(form: Form) -> tuple[InstanceForm, InstanceRequest]:
    """Read the form of a new instance; the request counts when nothing is wrong."""
    typed = InstanceForm(
        title=form.fields.get("title", ""),
        is_shared=form.fields.get("is_shared") == "yes",
        conditions=unix_lines(form.fields.get("conditions", "")),
    )
    errors = _fault_of_name("title", typed.title, is_needed=True)
    conditions, error = _read_conditions(typed.conditions)
    if error:
        errors["conditions"] = error
    typed = _read_common(evolve(typed, errors=errors), form, {})
    return typed, _request(typed, conditions)


def read_change(
    form: Form, current: InstanceRecord
) -> tuple[InstanceForm, InstanceRequest]:
    """Read the form of an instance that exists, and keeps what is fixed."""
    typed = InstanceForm(
        title=current.title,
        is_shared=current.is_shared,
        conditions=_render_conditions(current.allocation_filter),
        seen=form.fields.get("seen", ""),
    )
    typed = _read_common(typed, form, current.parameters)
    return typed, _request(typed, current.allocation_filter)


def _read_common(
    typed: InstanceForm, form: Form, existing: Mapping[str, str]
) -> InstanceForm:
    url = form.fields.get("software_release_url", "").strip()
    software_type = (
        form.fields.get("software_type", "").strip() or DEFAULT_SOFTWARE_TYPE
    )
    wished = form.fields.get("requested_state", RequestedState.STARTED.value)
    errors = {
        **typed.errors,
        **_fault_of_name("software_release_url", url, is_needed=True),
        **_fault_of_name("software_type", software_type, is_needed=True),
    }
    if "software_release_url" not in errors and not is_address(url):
        errors["software_release_url"] = "not an address, such as https://..."
    if wished not in OFFERED_STATES:
        errors["requested_state"] = "choose started or stopped"
        wished = RequestedState.STARTED.value
    return evolve(
        typed,
        software_release_url=url,
        software_type=software_type,
        requested_state=wished,
        parameters=read_parameters(form, existing),
        errors=errors,
    )


def is_address(text: str) -> bool:
    """Whether a text can name a release: an address with a scheme, or a path."""
    if text.startswith("/"):
        return True
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) and " " not in text


def _request(typed: InstanceForm, conditions: Mapping[str, str]) -> InstanceRequest:
    return InstanceRequest(
        title=typed.title,
        software_release_url=typed.software_release_url,
        software_type=typed.software_type,
        parameters=typed.parameters.values,
        allocation_filter=conditions,
        requested_state=RequestedState(typed.requested_state),
        is_shared=typed.is_shared,
    )


def _fault_of_name(name: str, text: str, *, is_needed: bool) -> dict[str, str]:
    if is_needed and not text.strip():
        return {name: "needed"}
    if len(text) > NAME_LENGTH_MAX:
        return {name: f"longer than {NAME_LENGTH_MAX} characters"}
    if unrepresentable.search(text):
        return {name: "holds a control character"}
    return {}


def _render_conditions(conditions: Mapping[str, str]) -> str:
    return "".join(f"{name} = {value}\n" for name, value in conditions.items())


def _read_conditions(text: str) -> tuple[dict[str, str], str]:
    """Return the conditions, or what is wrong about them."""
    conditions: dict[str, str] = {}
    lines = [it.strip() for it in text.splitlines() if it.strip()]
    if len(lines) > CONDITION_COUNT_MAX:
        return {}, f"more than {CONDITION_COUNT_MAX} lines"
    for line in lines:
        name, equals, value = (it.strip() for it in line.partition("="))
        if not (name and equals and value):
            return {}, f"{line!r}: write name = value"
        if name in conditions:
            return {}, f"{name!r} is given twice"
        fault = _fault_of_name(name, line, is_needed=True)
        if fault:
            return {}, f"a line {fault[name]}"
        conditions[name] = value
    return conditions, ""
