"""Core. What is found, as documents of hateoas: the fields that clients read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from master_cluster.browsing import (
    Found,
    FoundComputer,
    FoundInstallation,
    FoundInstance,
    FoundTree,
    Kind,
    Location,
)
from master_cluster.records import InstallationRecord, InstanceRecord
from master_cluster.reporting import access_status, installation_status
from master_cluster.web.hateoas_query import (
    PORTAL_TYPES,
    SHARED_PORTAL_TYPE,
    render_location,
)
from slap.errors import BadRequest

Json: TypeAlias = Any
"""What ``json`` writes."""

COLUMNS = frozenset(
    {
        "uid",
        "relative_url",
        "portal_type",
        "title",
        "reference",
        "url_string",
        "text_content",
        "slap_state",
        "source_reference",
        "root_slave",
        "connection_parameter_list",
        "aggregate_reference",
        "news",
        "getConnectionXmlAsDict",
        "SoftwareInstance_getNewsDict",
        "SoftwareInstallation_getNewsDict",
    }
)
"""What a search may select; a row has those of its kind."""


def render_root(base: str) -> Json:
    """Return the document that leads to all others; ``base`` is its own address."""
    search = "mode=search&query={query}&select_list={select_list}"
    traverse = "mode=traverse&relative_url={relative_url}&view={view}"
    return {
        "_links": {
            "self": {"href": base},
            # Without {limit}: clients that do not name one would send 40.
            "raw_search": {"href": f"{base}/?{search}"},
            "traverse": {"href": f"{base}/?{traverse}"},
        }
    }


def render_found(found: Sequence[Found], select_list: str) -> Json:
    """Return the rows of a search with the columns that are wanted, else with all."""
    wanted = tuple(filter(None, select_list.split(",")))
    unknown = sorted(set(wanted) - COLUMNS)
    if unknown:
        raise BadRequest(f"select_list: {unknown[0][:80]!r} is not known")
    return {"_embedded": {"contents": [_row(it, wanted) for it in found]}}


def render_view(found: Found) -> Json:
    """Return one thing as a form; clients read the defaults of its fields."""
    portal_type, fields = _form(found)
    view = {"form_id": _field("form_id", f"{portal_type.replace(' ', '')}_viewAsJson")}
    view |= {f"my_{name}": _field(name, value) for name, value in fields.items()}
    return {
        "_links": {
            "type": {"name": portal_type},
            "self": {"href": render_location(location_of(found))},
        },
        "_embedded": {"_view": view},
    }


def render_parameters(parameters: Mapping[str, str]) -> str:
    """Return parameters as the XML document that clients read them from."""
    head = "<?xml version='1.0' encoding='utf-8'?>\n"
    if not parameters:
        return f"{head}<instance/>\n"
    lines = (
        f"  <parameter id={quoteattr(name)}>{escape(parameters[name])}</parameter>\n"
        for name in sorted(parameters)
    )
    return f"{head}<instance>\n{''.join(lines)}</instance>\n"


def location_of(found: Found) -> Location:
    """Return where a thing is found again."""
    match found:
        case FoundTree(root):
            return Location(Kind.TREE, root.instance_guid)
        case FoundInstance(instance):
            return Location(Kind.INSTANCE, instance.instance_guid)
        case FoundComputer(computer_id):
            return Location(Kind.COMPUTER, computer_id)
        case FoundInstallation(it):
            url = it.software_release_url
            return Location(Kind.INSTALLATION, it.computer_id, url)


def _form(found: Found) -> tuple[str, dict[str, Json]]:
    """Return the type of a thing and its fields."""
    match found:
        case FoundTree(root, instances):
            news: Json = {"instance": [_news_of_instance(it) for it in instances]}
            return PORTAL_TYPES[Kind.TREE], {**_instance_fields(root), "news": news}
        case FoundInstance(instance):
            fields = _instance_fields(instance)
            fields["news"] = {"instance": [_news_of_instance(instance)]}
            return _portal_type(instance), fields
        case FoundComputer(computer_id, title, occupants, text):
            news = {
                "computer": {"text": text, "reference": computer_id},
                "partition": {
                    it.partition.partition_id: _news_of_instance(it) for it in occupants
                },
            }
            named = {"reference": computer_id, "title": title, "news": news}
            return PORTAL_TYPES[Kind.COMPUTER], named
        case FoundInstallation(it):
            return PORTAL_TYPES[Kind.INSTALLATION], {
                "title": it.software_release_url,
                "reference": it.software_release_url,
                "url_string": it.software_release_url,
                "slap_state": it.requested_state.value,
                "aggregate_reference": it.computer_id,
                "news": _news_of_installation(it),
            }


def _instance_fields(instance: InstanceRecord) -> dict[str, Json]:
    published = instance.connection_parameters
    return {
        "title": instance.title,
        "reference": instance.instance_guid,
        "slap_state": instance.requested_state.value,
        "text_content": render_parameters(instance.parameters),
        "connection_parameter_list": [
            {"connection_key": name, "connection_value": published[name]}
            for name in sorted(published)
        ],
        "url_string": instance.software_release_url,
        "source_reference": instance.software_type,
        "root_slave": int(instance.is_shared),
    }


_KIND_OF_FIELD: Mapping[type, str] = {int: "IntegerField", str: "StringField"}


def _field(name: str, value: Json) -> Json:
    key = name if name == "form_id" else f"field_my_{name}"
    kind = _KIND_OF_FIELD.get(type(value), "StringField")
    return {"key": key, "type": kind, "default": value}


def _portal_type(instance: InstanceRecord) -> str:
    return SHARED_PORTAL_TYPE if instance.is_shared else PORTAL_TYPES[Kind.INSTANCE]


def _news_of_instance(instance: InstanceRecord) -> Json:
    guid = instance.instance_guid
    text = access_status(instance.report) or f"#error no data found for {guid}"
    return {
        "portal_type": _portal_type(instance),
        "reference": guid,
        "title": instance.title,
        "state": instance.report.reported_state.value,
        "text": text,
    }


def _news_of_installation(installation: InstallationRecord) -> Json:
    url, reported = installation.software_release_url, installation.report
    text = installation_status(url, reported)
    return {
        "portal_type": PORTAL_TYPES[Kind.INSTALLATION],
        "reference": url,
        "state": reported.reported_state.value,
        "text": text or f"#error no data found for {url}",
    }


def _row(found: Found, wanted: Sequence[str]) -> Json:
    portal_type, values = _form(found)
    where = render_location(location_of(found))
    values |= {"uid": where, "relative_url": where, "portal_type": portal_type}
    match found:
        case FoundTree(it) | FoundInstance(it):
            values["getConnectionXmlAsDict"] = dict(it.connection_parameters)
            values["SoftwareInstance_getNewsDict"] = _news_of_instance(it)
        case FoundInstallation(installation):
            news = _news_of_installation(installation)
            values["SoftwareInstallation_getNewsDict"] = news
    return {name: values[name] for name in wanted or values if name in values}
