"""hello is built and run by what a wheelhouse holds, where there is nothing else.

The wheelhouse is filled from this checkout, an environment is installed from it alone,
and then, in namespaces with only a loopback and an empty directory where the checkout
was, a mini-master serves it, real zc.buildout builds both releases from there, and
instances run. Started by root all this is done by another user.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from runtime.keys import Keys
from slap.identities import Identity, Role
from tests.authorities import a_region
from tests.capabilities import needs_namespaces
from tests.emulation.test_joining import identify
from tests.programs import run
from tests.releases import copy_release
from tests.source_tree import TOP

DRIVER = Path(__file__).with_name("hello_driver.py")

NETWORK = "fd00:1::"
PARTITION_COUNT = 4

OTHER_USER = 54321
"""Who builds and runs when root starts the tests: nobody in particular."""

FIRST_BUILD_SECONDS_MAX = 60
"""5 to 6 s when nothing else runs; CI shares its cores."""

_TELL_VERSION = "import sys, venv; print(sys.implementation.cache_tag)"


def as_user(argv: Sequence[str]) -> list[str]:
    """The same program without rights: as another user when we are root."""
    if os.geteuid() != 0:
        return list(argv)
    identity = (f"--reuid={OTHER_USER}", f"--regid={OTHER_USER}", "--clear-groups")
    return ["setpriv", *identity, *argv]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory of that user, outside of the checkout, that all may enter."""
    with tempfile.TemporaryDirectory(prefix="hello-", dir="/tmp") as directory:
        place = Path(directory)
        place.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(place, OTHER_USER, OTHER_USER)
        yield place


@pytest.fixture(scope="module")
def release(place: Path) -> Path:
    """The wheelhouse of this checkout."""
    output = place / "release"
    copy_release(output)
    return output


@pytest.fixture(scope="module")
def environment(place: Path, release: Path) -> Path:
    """What a computer installs, from the wheelhouse alone."""
    environment = place / "environment"
    (pip,) = (release / "wheelhouse").glob("pip-*.whl")
    for argv in (
        [choose_interpreter(), "-I", "-m", "venv", "--without-pip", str(environment)],
        [
            *(str(environment / "bin" / "python"), "-I", str(pip / "pip"), "install"),
            *("--no-index", "--find-links", str(release / "wheelhouse")),
            *("--quiet", "--no-cache-dir", "--no-compile", "slapcluster[command]"),
        ],
    ):
        clean = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(place),
            "PIP_CONFIG_FILE": os.devnull,
        }
        ended = run(as_user(argv), clean, directory=place)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return environment


def choose_interpreter() -> str:
    """One that the wheels fit and that the user may run."""
    version = f"python3.{sys.version_info.minor}"
    found = (shutil.which(version, path="/usr/bin:/usr/local/bin"), sys.executable)
    for python in filter(None, found):
        argv = [os.path.realpath(python), "-I", "-c", _TELL_VERSION]
        ended = run(as_user(argv), directory=Path("/"))
        if ended.stdout.strip() == sys.implementation.cache_tag:
            return argv[0]
    pytest.fail(f"no {version} that user {OTHER_USER} can run; set-up installs one")


ADDRESSES = tuple(f"{NETWORK}{number + 2:x}" for number in range(PARTITION_COUNT))


def confine(argv: Sequence[str], addresses: Sequence[str] = ADDRESSES) -> list[str]:
    """Run where there is only a loopback, and the checkout is an empty directory."""
    hide = ("mount", "-t", "tmpfs", "-o", "size=4k,mode=555", "none", str(TOP))
    script = ["set -e", "ip link set lo up"]
    script += [f"ip -6 address add {it}/64 dev lo nodad" for it in addresses]
    script.append(shlex.join(hide))
    no_rights = ("setpriv", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs")
    script.append(f"exec {shlex.join(as_user([*no_rights, *argv]))}")
    users = () if os.geteuid() == 0 else ("--user", "--map-current-user", "--keep-caps")
    apart = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    return ["unshare", *users, *apart, "sh", "-c", "\n".join(script)]


@pytest.fixture(scope="module")
def identities(place: Path) -> None:
    """Those of a replica and a computer, in the place."""
    region = a_region(Keys(), time.time())  # noqa: TID251 - the programs have no other
    for identity in (Identity(Role.REPLICA, "lyon"), Identity(Role.COMPUTER, "COMP-1")):
        directory = place / str(identity.role)
        identify(directory, region, identity)
        if os.geteuid() == 0:
            for path in (directory, *directory.iterdir()):
                os.chown(path, OTHER_USER, OTHER_USER)


@needs_namespaces
@pytest.mark.usefixtures("identities")
def test_both_releases_are_built_and_run_from_the_wheelhouse_alone(
    place, release, environment
):
    """Greetings, children, a shared instance, a parameter seen live, an upgrade.

    The upgrade comes by a relay, from a replica that speaks TLS.
    """
    assert release.parent == place
    driver = place / "hello_driver.py"
    shutil.copyfile(DRIVER, driver)
    driver.chmod(0o644)
    python = str(environment / "bin" / "python")
    ended = run(
        confine([python, "-I", str(driver), str(place), str(TOP)]),
        {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(place)},
        directory=place,
        timeout_seconds=300,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    seen = json.loads(ended.stdout)
    seconds = seen.pop("seconds")
    print(f"seconds: {seconds}")  # noqa: T201 - figures for `pytest -s`

    root = f"http://[{NETWORK}2]:20000/"
    first, second = (f"http://[{NETWORK}{n + 2}]:{20000 + 10 * n}/" for n in (1, 2))
    greeting = "Hello ${buildout:directory} $$ 'é' %s"
    assert seen == {
        "interfaces": ["lo"],
        "user": OTHER_USER if os.geteuid() == 0 else os.geteuid(),
        "checkout": [],
        "eggs": [
            *("attrs", "cattrs", "packaging", "pip", "platformdirs", "setuptools"),
            *("slapcluster", "typing_extensions", "wheel", "zc_buildout"),
        ],
        "published": {"release": "1.0", "url": root},
        "page": f"{greeting}\nchild-1: {first}\nchild-2: {second}\n",
        "children": [[greeting], [greeting]],
        "promises": [
            "0 hello 1.0 greets as asked, 0 of them shared",
            "0 2 children are ready",
        ],
        "shared": "Good night\n",
        "shared by title": "Good night\n",
        "changed page": f"Bonjour\nchild-1: {first}\n",
        "restarted by a parameter": [],
        "states": {"root": "started", "child-1": "started", "child-2": "destroyed"},
        "upgraded promises": [
            "0 hello 2.0 greets as asked, 1 of them shared",
            "0 1 children are ready",
        ],
        "upgraded page": f"Bonjour\nchild-1: {first}\nhello 2.0\n",
        "about": "2.0",
        "promises of the dead": [
            f"1 nothing listens on [{NETWORK}2]:20000",
            "0 1 children are ready",
        ],
    }
    assert seconds["build of 1.0"] < FIRST_BUILD_SECONDS_MAX
