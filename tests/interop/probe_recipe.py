"""Three recipes for releases that any agent can build and that need no package.

They stand in the environment of the stock programs (``stock.py``), so that buildout
finds them there. What they do is what most instances do: write files, read parameters,
publish.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from slapos.slap import slap  # type: ignore[import-not-found] # of its environment

Options = MutableMapping[str, str]


class File:
    """Writes ``input`` or ``content`` to ``output``; ``$${`` becomes ``${``."""

    def __init__(self, _: object, __: str, options: Options) -> None:
        self._options = options
        # Read now, so that a change of the input is a change of the part.
        source = options.get("input")
        if source:
            options["content"] = Path(source).read_text(encoding="utf-8")

    def install(self) -> list[str]:
        output = Path(self._options["output"])
        output.parent.mkdir(parents=True, exist_ok=True)
        content = self._options["content"].replace("$${", "${").strip() + "\n"
        output.write_text(content, encoding="utf-8")
        output.chmod(int(self._options.get("mode", "0644"), 8))
        return [str(output)]

    update = install


def _partition(connection: Options) -> object:
    client = slap()
    client.initializeConnection(
        connection["url"], connection.get("key"), connection.get("cert")
    )
    return client.registerComputerPartition(
        connection["computer"], connection["partition"]
    )


class Parameters:
    """Asks the master for the parameters: ``configuration.NAME``."""

    def __init__(self, _: object, __: str, options: Options) -> None:
        found = _partition(options)
        for name, value in found.getInstanceParameterDict().items():  # type: ignore[attr-defined]
            options[f"configuration.{name}"] = str(value).replace("$", "$$")
        options["user"] = str(os.getuid())

    def install(self) -> list[str]:
        return []

    update = install


class Publish:
    """Publishes every option whose name starts with ``publish-``."""

    def __init__(self, _: object, __: str, options: Options) -> None:
        self._options = options

    def install(self) -> list[str]:
        _partition(self._options).setConnectionDict(  # type: ignore[attr-defined]
            {
                name.removeprefix("publish-"): value
                for name, value in self._options.items()
                if name.startswith("publish-")
            }
        )
        return []

    update = install
