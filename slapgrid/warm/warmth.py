"""Core. What a warm process is prepared for."""

from __future__ import annotations

import json
from collections.abc import Iterable

from attrs import frozen

from slapgrid.identity import Identity

NOBODY_ELSE = Identity()


@frozen
class Warmth:
    """Equal ones share one process.

    ``release_path`` is the directory of an installed release and ``stamp`` changes
    whenever that is built anew: what was imported or computed holds until then.
    ``python`` is the interpreter with its options. ``shim`` is the path of the file
    that programs run after these; its ``prepare`` is given ``argument``.
    """

    release_path: str
    stamp: str
    python: tuple[str, ...]
    shim: str
    argument: str

    def settings(
        self, owner: Identity = NOBODY_ELSE, identities: Iterable[Identity] = ()
    ) -> str:
        """What the fork server reads; with an owner when root starts it."""
        shim_name = self.shim.rpartition("/")[2]
        settings: dict[str, object] = {"arguments": {shim_name: self.argument}}
        if owner.uid is not None:
            settings["owner"] = [owner.uid, owner.gid]
            users = {(each.uid, each.gid) for each in identities}
            settings["identities"] = sorted(users, key=str)
            settings["python"] = self.python
        return json.dumps(settings)
