"""Recipe ``slapcluster:request``: asks the master for other instances.

Options:

``name``
    The title of the instance.
``count``
    Ask for that many instead, ``<name>-1`` to ``<name>-<count>``.
``names``
    The titles themselves, instead: words, possibly none.
``config-of-title``, ``sla-of-title``
    With ``names``: the parameter, and the key of the filter, that is the title.
``each``
    In what one differs from the others: a JSON object by title, of objects with
    ``software-url``, ``parameters``, or both.
``share-as``
    The parameter in which each is handed what all of them have published, as a JSON
    object by title, of those that lack nothing of ``return``. Who has published keeps
    its place in it until it is asked for no longer.
``share``
    With ``share-as``: the keys of it that the others need, all by default.
``software-url``, ``software-type``
    What it runs: by default the release of this instance, in type ``default``.
``config-<key>``, ``sla-<key>``
    Its parameters, and conditions on where it may be.
``shared``, ``state``
    Whether it is hosted inside another (``false``); ``started`` or ``stopped``.
``return``
    The connection parameters that must be there before it counts as ready.

Exposed:

``json``
    The connection parameters of each title, as a JSON object of objects. A key of
    ``return`` that is not published yet is there and empty.
``pending``
    For each title that is not ready, a sentence that says why, as a JSON object.
``connection-<key>``, ``instance-guid``
    The same for the one instance, without ``count``.

An instance that is not ready does not fail the one that asks: the master has this one
processed again when the other publishes, and meanwhile a promise can tell.

What was asked for is remembered in ``var/requested-<section>.json``, before asking, so
that a title that is asked for no longer is given back, whenever this is interrupted.
What is shared is remembered in ``var/shared-<section>.json``: all are asked with that
first, and again when their answers say more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from attrs import evolve, field, frozen

from slap import calls
from slap.errors import NotFound, NotReady, SlapError
from slap.model import InstanceRequest, RequestedInstance, RequestedState
from slapgrid.layout import transaction_file
from slapgrid.recipe import documents
from slapgrid.recipe.connection import SlapConnection, read_connection
from slapgrid.recipe.section import Buildout, Options, Section
from slapgrid.recipe.writing import write_whole

COUNT_MAX = 100
"""What masters accept from one requester."""

_STATES = (RequestedState.STARTED.value, RequestedState.STOPPED.value)


@frozen
class Outcome:
    """What came of a request; ``reason`` is empty once the instance is ready."""

    title: str
    connection_parameters: Mapping[str, str]
    instance_guid: str = ""
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        return not self.reason


@frozen
class Difference:
    """In what the request of one title differs from those of the others."""

    software_release_url: str = ""
    parameters: Mapping[str, str] = field(factory=dict)

    def apply(self, wanted: InstanceRequest) -> InstanceRequest:
        url = self.software_release_url or wanted.software_release_url
        parameters = {**wanted.parameters, **self.parameters}
        return evolve(wanted, software_release_url=url, parameters=parameters)


NO_DIFFERENCE = Difference()


class Recipe:
    """Asks when the profile is read, because other sections read what it exposes."""

    def __init__(self, buildout: Buildout, name: str, options: Options) -> None:
        section = Section(name, options)
        connection = read_connection(buildout)
        titles = _read_titles(section)
        wanted = _read_wanted(section, connection)
        returned = tuple(section.text("return", "").split())
        differing = _read_differing(section)

        var = Path(buildout["buildout"]["directory"], "var")
        memory = var / f"requested-{name}.json"
        remembered = _recall(memory)
        _remember(memory, {*remembered, *titles})
        _note_titles(connection, titles)

        def ask_all(shared: str) -> list[Outcome]:
            return [
                _judge(
                    title,
                    _ask(
                        section,
                        connection,
                        differing.get(title, NO_DIFFERENCE).apply(
                            _of_title(section, wanted, title, shared)
                        ),
                    ),
                    returned,
                )
                for title in titles
            ]

        if "share-as" in options:
            outcomes = _ask_with_shared(
                var / f"shared-{name}.json",
                ask_all,
                titles,
                frozenset(section.text("share", "").split()),
            )
        else:
            outcomes = ask_all("")
        for title in sorted(remembered.difference(titles)):
            unwanted = evolve(
                wanted, title=title, requested_state=RequestedState.DESTROYED
            )
            _ask(section, connection, unwanted)
        _remember(memory, titles)
        _expose(section, outcomes)

    def install(self) -> list[str]:
        return []

    def update(self) -> None:
        """Nothing that buildout could remove is on disk."""


def _ask_with_shared(
    memory: Path,
    ask_all: Callable[[str], list[Outcome]],
    titles: Iterable[str],
    keys: Collection[str],
) -> list[Outcome]:
    """Ask with what is known, and again while the answers add to it.

    Without ``keys`` all of them are shared.
    """
    shared = _recall_shared(memory, titles)
    outcomes = ask_all(documents.encode(shared))
    told = {
        it.title: {
            key: value
            for key, value in it.connection_parameters.items()
            if not keys or key in keys
        }
        for it in outcomes
        if it.is_ready
    }
    if not told.items() <= shared.items():
        shared |= told
        write_whole(memory, documents.encode(shared) + "\n", 0o600)
        outcomes = ask_all(documents.encode(shared))
    return outcomes


def _recall_shared(memory: Path, titles: Iterable[str]) -> dict[str, object]:
    """Return what was shared before; what is lost is asked for anew."""
    try:
        known = dict(json.loads(memory.read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        known = {}
    return {title: known[title] for title in titles if title in known}


def _of_title(
    section: Section, wanted: InstanceRequest, title: str, shared: str
) -> InstanceRequest:
    """Return the request of one of them."""
    parameters = dict(wanted.parameters)
    allocation_filter = dict(wanted.allocation_filter)
    if "names" in section.options:
        for option, target in (
            ("config-of-title", parameters),
            ("sla-of-title", allocation_filter),
        ):
            if option in section.options:
                target[section.text(option)] = title
    if "share-as" in section.options:
        parameters[section.text("share-as")] = shared
    return evolve(
        wanted,
        title=title,
        parameters=parameters,
        allocation_filter=allocation_filter,
    )


def _read_titles(section: Section) -> tuple[str, ...]:
    if "names" in section.options:
        titles = tuple(section.text("names").split())
        if len(titles) > COUNT_MAX or len(set(titles)) < len(titles):
            raise section.refusal("names", f"are at most {COUNT_MAX}, each one once")
        return titles
    name = section.text("name")
    if not name:
        raise section.refusal("name", "is empty")
    if "count" not in section.options:
        return (name,)
    count = section.whole_number("count", COUNT_MAX)
    return tuple(f"{name}-{number}" for number in range(1, count + 1))


def _read_wanted(section: Section, connection: SlapConnection) -> InstanceRequest:
    state = section.text("state", _STATES[0])
    if state not in _STATES:
        raise section.refusal("state", f"{state!r} is none of {', '.join(_STATES)}")
    return InstanceRequest(
        title="",
        software_release_url=section.text(
            "software-url", connection.software_release_url
        ),
        software_type=section.text("software-type", "default"),
        parameters=_without_title(section.texts("config-")),
        allocation_filter=_without_title(section.texts("sla-")),
        requested_state=RequestedState(state),
        is_shared=section.truth("shared", default=False),
        requester=connection.partition,
    )


def _read_differing(section: Section) -> dict[str, Difference]:
    try:
        found = json.loads(section.text("each", "{}"))
        return {
            str(title): _read_difference(dict(it)) for title, it in dict(found).items()
        }
    except (ValueError, TypeError) as error:
        sentence = f"is no JSON object of objects: {error}"
        raise section.refusal("each", sentence) from error


def _read_difference(document: dict[str, object]) -> Difference:
    url = document.pop("software-url", "")
    parameters = document.pop("parameters", {})
    if document:
        raise ValueError(f"{', '.join(document)} is nothing in which they differ")
    texts = [url, *(parameters.values() if isinstance(parameters, dict) else (None,))]
    if not isinstance(parameters, dict) or not all(isinstance(it, str) for it in texts):
        raise ValueError("software-url and all parameters are texts")
    return Difference(str(url), parameters)


def _without_title(texts: dict[str, str]) -> dict[str, str]:
    return {key: text for key, text in texts.items() if key != "of-title"}


def _recall(memory: Path) -> set[str]:
    """Return the titles asked for before; a lost memory loses nobody's work."""
    try:
        return set(map(str, json.loads(memory.read_text("utf-8"))))
    except (FileNotFoundError, ValueError, TypeError):
        return set()


def _remember(memory: Path, titles: Iterable[str]) -> None:
    content = documents.encode(sorted(titles)) + "\n"
    write_whole(memory, content, 0o600)


def _note_titles(connection: SlapConnection, titles: Iterable[str]) -> None:
    """Tell the agent what was asked for, where the stock client library does."""
    root = os.environ.get("SLAPGRID_INSTANCE_ROOT")  # noqa: TID251 - set by the agent
    if root:
        partition_id = connection.partition.partition_id
        path = Path(root, partition_id, transaction_file(partition_id))
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{title}\n" for title in titles)


def _ask(
    section: Section, connection: SlapConnection, wanted: InstanceRequest
) -> RequestedInstance | str:
    """Return the instance, or why there is none yet."""
    try:
        answer = connection.perform(calls.request_instance(wanted))
    except (NotReady, NotFound) as error:
        return error.sentence
    except SlapError as error:
        raise section.refusal("name", f"{wanted.title}: {error.sentence}") from error
    assert isinstance(answer, RequestedInstance)
    return answer


def _judge(
    title: str, answer: RequestedInstance | str, returned: tuple[str, ...]
) -> Outcome:
    empty = dict.fromkeys(returned, "")
    if isinstance(answer, str):
        return Outcome(title, empty, reason=answer)
    published = answer.connection_parameters
    missing = [key for key in returned if not published.get(key)]
    reason = f"has not published {', '.join(missing)} yet" if missing else ""
    guid = answer.instance_guid or ""
    return Outcome(title, {**empty, **published}, guid, reason)


def _expose(section: Section, outcomes: list[Outcome]) -> None:
    connections = {it.title: dict(it.connection_parameters) for it in outcomes}
    section.expose("json", documents.encode(connections))
    pending = {it.title: it.reason for it in outcomes if it.reason}
    section.expose("pending", documents.encode(pending))
    if "count" not in section.options and "names" not in section.options:
        (outcome,) = outcomes
        section.expose("instance-guid", outcome.instance_guid)
        for key, value in outcome.connection_parameters.items():
            section.expose_foreign(f"connection-{key}", value)
