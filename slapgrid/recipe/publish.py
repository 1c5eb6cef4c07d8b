"""Recipe ``slapcluster:publish``: publishes connection parameters of the instance.

Every option but ``recipe``, ``json`` and ``shared-instances`` is one; ``json`` is a
JSON object whose texts are parameters too. With ``shared-instances`` (what
``slapcluster:parameters`` exposes under this name), they are published for each shared
instance instead, and ``{reference}`` and ``{title}`` in them stand for the names of
that one, percent-encoded.

Publishing what is published already changes nothing, so it is done at each pass: what a
master may have lost comes back.
"""

from __future__ import annotations

import json
from urllib.parse import quote as percent_encode

from slap import calls
from slap.model import SharedInstance
from slapgrid.recipe.connection import perform, read_connection
from slapgrid.recipe.documents import decode_shared_instances
from slapgrid.recipe.section import Buildout, Options, Section

_SETTINGS = frozenset({"recipe", "json", "shared-instances"})

#: Buildout keeps options of its own under such names.
_PRIVATE = ("_", "<", "-")


class Recipe:
    def __init__(self, buildout: Buildout, name: str, options: Options) -> None:
        self._section = Section(name, options)
        self._connection = read_connection(buildout)
        self._parameters = {
            option: self._section.text(option)
            for option in sorted(options)
            if option not in _SETTINGS and not option.startswith(_PRIVATE)
        }
        self._parameters |= _read_json(self._section)
        self._shared_instances = _read_shared_instances(self._section)

    def install(self) -> list[str]:
        if self._shared_instances is None:
            self._publish(self._parameters, None)
        for shared in self._shared_instances or ():
            named = {
                key: _name(value, shared) for key, value in self._parameters.items()
            }
            self._publish(named, shared.reference)
        return []

    def update(self) -> None:
        self.install()

    def _publish(self, parameters: dict[str, str], reference: str | None) -> None:
        partition = self._connection.partition
        call = calls.publish_connection(partition, parameters, reference)
        perform(self._section, self._connection, call)


def _read_json(section: Section) -> dict[str, str]:
    sentence = "is no JSON object of texts"
    try:
        found = json.loads(section.text("json", "{}"))
    except ValueError as error:
        raise section.refusal("json", sentence) from error
    if not isinstance(found, dict):
        raise section.refusal("json", sentence)
    if not all(isinstance(it, str) for it in found.values()):
        raise section.refusal("json", sentence)
    return found


def _read_shared_instances(section: Section) -> tuple[SharedInstance, ...] | None:
    option = "shared-instances"
    if option not in section.options:
        return None
    try:
        return decode_shared_instances(section.text(option))
    except ValueError as error:
        raise section.refusal(option, str(error)) from error


def _name(template: str, shared: SharedInstance) -> str:
    for word in ("reference", "title"):
        name = percent_encode(getattr(shared, word), safe="")
        template = template.replace(f"{{{word}}}", name)
    return template
