# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. Who brings links into force, killed anywhere."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

APPLYING = "stunnel_conf/applying.py"
LIVES = ("links",)


def _mutant(name: str, before: str, after: str, reason: str, seed: int = 0) -> Mutant:
    return Mutant(name, (Change(APPLYING, before, after),), reason, LIVES, seed)


MUTANTS = (
    _mutant(
        "connections of who was removed go on",
        "        closed_count = self._close_unwanted(configuration)\n",
        "        closed_count = 0\n",
        "stunnel itself lets them: who is removed would be there for weeks.",
    ),
    _mutant(
        "connections are closed of a section that is gone alone",
        '    return live.subject not in {f"CN={name}" for name in peers}\n',
        "    return not peers\n",
        "A peer that is taken out of an export would stay, as long as others have it.",
    ),
    _mutant(
        "all connections are closed at each change",
        '    return live.subject not in {f"CN={name}" for name in peers}\n',
        "    return True\n",
        "A change disturbs nobody who is still wanted.",
    ),
    _mutant(
        "what was written is in force",
        "        is_changed = not (configuration.text == in_force == written)\n",
        "        is_changed = configuration.text != written\n",
        "Who was killed between writing and telling stunnel would never tell it.",
    ),
    _mutant(
        "what was in force once is",
        "        is_changed = not (configuration.text == in_force == written)\n",
        "        is_changed = configuration.text != in_force\n",
        "After a run that was killed stunnel may have another one, and go back to it.",
    ),
    _mutant(
        "what is in force is noted before it is",
        "            self._home.write(configuration)\n            await self._reload(configuration, in_force or written)\n",
        "            self._home.write(configuration)\n            self._home.files.write(IN_FORCE, configuration.text.encode())\n            await self._reload(configuration, in_force or written)\n",
        "Who was killed between the two would leave it so.",
    ),
    _mutant(
        "a configuration is written before the files that it names",
        "        for name, content in configuration.files.items():\n            if self.text(name) != content:\n                mode = SECRET if name.startswith(OWN_PREFIX) else 0o644\n                self.files.write(name, content.encode(), mode)\n        self.set_text(configuration.text)\n",
        "        self.set_text(configuration.text)\n        for name, content in configuration.files.items():\n            if self.text(name) != content:\n                mode = SECRET if name.startswith(OWN_PREFIX) else 0o644\n                self.files.write(name, content.encode(), mode)\n",
        "A stunnel that begins in between would not begin.",
        seed=3,
    ),
    _mutant(
        "files that are named still are removed",
        "        self._home.forget_all_but(configuration.text)\n        return",
        '        self._home.forget_all_but("")\n        return',
        "stunnel would not begin again.",
    ),
    _mutant(
        "nobody looks whether a port is taken",
        "            await self._check_ports(configuration)\n",
        "",
        "stunnel closes all of its ports when one is taken; this is noticed a moment later, and those that came meanwhile are refused.",
    ),
    _mutant(
        "a configuration that is refused stays",
        "            self._home.set_text(before)\n            again",
        "            again",
        "stunnel would read it again each second, with all ports closed.",
    ),
    _mutant(
        "stunnel is not told",
        "        self._stunnel.reload()\n",
        "",
        "Nothing would be in force.",
    ),
    _mutant(
        "what was there before is believed to have begun with the present files",
        "            self._home.files.remove(IN_FORCE)\n",
        "",
        "A stunnel that begins anew has what is written, whatever was in force.",
    ),
)
