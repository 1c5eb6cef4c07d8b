"""Recipe ``slapcluster:program``: a program that the computer must have.

Options:

``program``
    Its name.
``version-command``, ``version``
    The argument with which it tells its version, and what must be in that.
``package``
    The package of the system that has it, for the sentence when it is missing.

Exposed: ``path``.

What is installed by the operator of a computer is not built anew in each release; where
it is missing, the release is not built, and its error says what to install.
"""

from __future__ import annotations

import shutil
import subprocess  # noqa: TID251 - buildout's process has no runtime

from slapgrid.recipe.section import Buildout, Options, Section

DIRECTORIES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where packages of systems put programs."""

SECONDS_MAX = 20.0


class Recipe:
    """Looks when the profile is read: a release without it is not begun."""

    def __init__(self, _: Buildout, name: str, options: Options) -> None:
        section = Section(name, options)
        program = section.text("program")
        path = shutil.which(program, path=DIRECTORIES)
        package = section.text("package", program)
        if path is None:
            sentence = (
                f"{program} is not on this computer: install the package {package}"
            )
            raise section.refusal("program", sentence)
        _check_version(section, path, package)
        section.expose("path", path)

    def install(self) -> list[str]:
        return []

    def update(self) -> None:
        """Nothing is on disk."""


def _check_version(section: Section, path: str, package: str) -> None:
    wanted = section.text("version", "")
    if not wanted:
        return
    try:
        ended = subprocess.run(  # noqa: S603 - the profile says what runs
            [path, section.text("version-command")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise section.refusal("program", f"{path}: {error}") from error
    told = ended.stdout.decode(errors="replace")
    if wanted not in told:
        line = told.strip().partition("\n")[0]
        raise section.refusal(
            "version",
            f"{path} says {line!r}, not {wanted!r}: install {package} of that version",
        )
