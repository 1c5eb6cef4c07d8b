"""Programs of others that tests run, in environments of their own below the checkout.

The stock SlapOS programs, and the one that fuzzes our OpenAPI surface: what they pull
in is no business of ours.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tests import programs

CHECKOUT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).with_name("stock-requirements.txt")
RECIPE_REQUIREMENTS = Path(__file__).with_name("recipe-requirements.txt")
FUZZ_REQUIREMENTS = Path(__file__).parent.parent / "hostile" / "fuzz-requirements.txt"
RECIPE = Path(__file__).with_name("probe_recipe.py")
INSTALL_SECONDS_MAX = 600
NEO_PORT = CHECKOUT / "replication" / "neo" / "port"
ZODB_6 = CHECKOUT / "tests" / "neo_port" / "zodb-6.4.txt"
NEO_BUILD = NEO_PORT / "build.sh"
#: Where set-up leaves the wheel that buildout and the wheelhouse take.
NEO_WHEELS = CHECKOUT / ".make" / "cache" / "dist"

#: Half of the stock commands ask for the files beside a module, which Python before
#: 3.12 refuses for no reason but a check; without this they silently do not exist.
RESOURCES_PTH = """\
import importlib.resources._common as c; c.get_package = getattr(c, "resolve", None) \
or c.get_package
"""
#: What makes the recipe a distribution, found by buildout even when it is offline.
DISTRIBUTION = {
    "METADATA": "Metadata-Version: 2.1\nName: probe-recipe\nVersion: 1.0\n",
    "entry_points.txt": """\
[zc.buildout]
file = probe_recipe:File
parameters = probe_recipe:Parameters
publish = probe_recipe:Publish
""",
    "RECORD": "",
    "INSTALLER": "tests\n",
}


def stock_environment() -> Path:
    """The ``bin`` of an environment with slapos.core; made when it is missing.

    All of its commands work, also those of the agent, and ``probe-recipe`` is a recipe
    that releases may use without any index of packages. One of its dependencies is
    compiled: it wants a C compiler and Python's headers.
    """
    decided_by = (RESOURCES_PTH, *DISTRIBUTION.values())
    return _made("env", REQUIREMENTS, _install_stock, decided_by) / "bin"


def fuzz_environment() -> Path:
    """The ``bin`` of an environment with schemathesis; made when it is missing."""
    return _made("fuzz", FUZZ_REQUIREMENTS, _install) / "bin"


def neo_environment(
    requirements: Path = ZODB_6, interpreter: Path | None = None
) -> Path:
    """The ``bin`` of an environment with NEO as we build it; made when it is missing.

    ``requirements`` names the ZODB and all that it needs; ``interpreter`` is the one
    that these tests run on, or another.
    """
    port = sorted(path for path in NEO_PORT.rglob("*") if path.is_file())
    decided_by = [path.read_text() for path in port]
    name = f"neo-{requirements.stem}"
    if interpreter is not None:
        name += f"-{interpreter.name}"
        decided_by.append(str(interpreter))
    make = partial(_install_neo, interpreter)
    return _made(name, requirements, make, decided_by) / "bin"


def original_neo() -> Path:
    """The release for Python 2.7, unpacked; fetched when it is missing."""
    made = _made("neo-original", NEO_PORT / "source.txt", _unpack_original)
    (sources,) = made.glob("neoppod-*/")
    return sources


def recipe_wheels() -> Path:
    """A folder of wheels: recipes of the package index and what they need."""
    return _made("wheels", RECIPE_REQUIREMENTS, _collect)


def _made(
    name: str,
    requirements: Path,
    make: Callable[[Path, Path], None],
    decided_by: Iterable[str] = (),
) -> Path:
    """What ``make`` leaves in a folder of that name.

    It is made again for other pins, and when another text decides it.
    """
    home = CHECKOUT / ".stock"
    home.mkdir(exist_ok=True)
    made = home / name
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = "\n".join([requirements.read_text(), *decided_by])
        made_from = home / f"{name}.txt"
        if not made_from.exists() or made_from.read_text() != wanted:
            shutil.rmtree(made, ignore_errors=True)
            make(made, requirements)
            made_from.write_text(wanted)
    return made


def _install(
    environment: Path, requirements: Path, interpreter: Path | None = None
) -> None:
    python = interpreter or Path(sys.base_prefix) / "bin" / "python3"
    _finish(str(python), "-m", "venv", str(environment))
    pip = str(environment / "bin" / "pip")
    _finish(pip, "install", "--no-deps", "--requirement", str(requirements))


def _unpack_original(home: Path, requirements: Path) -> None:
    pip = (sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps")
    pip += ("--no-binary", ":all:", "--dest", str(home))
    _finish(*pip, "--requirement", str(requirements))
    (archive,) = home.glob("neoppod-*.tar.gz")
    _finish("tar", "-x", "-f", str(archive), "-C", str(home))


def _install_neo(
    interpreter: Path | None, environment: Path, requirements: Path
) -> None:
    _install(environment, requirements, interpreter)
    _finish(str(NEO_BUILD), str(NEO_WHEELS))
    (wheel,) = NEO_WHEELS.glob("neoppod-*.whl")
    _finish(str(environment / "bin" / "pip"), "install", "--no-deps", str(wheel))


def _install_stock(environment: Path, requirements: Path) -> None:
    _install(environment, requirements)
    (packages,) = environment.glob("lib/python3*/site-packages")
    (packages / "stock_resources.pth").write_text(RESOURCES_PTH)
    described = packages / "probe_recipe-1.0.dist-info"
    described.mkdir()
    for name, content in DISTRIBUTION.items():
        (described / name).write_text(content)
    (packages / RECIPE.name).symlink_to(RECIPE)


def _collect(wheels: Path, requirements: Path) -> None:
    pip = str(stock_environment() / "pip")
    _finish(
        *(pip, "wheel", "--no-deps", "--wheel-dir", str(wheels)),
        *("--requirement", str(requirements)),
    )


def _finish(*argv: str) -> None:
    done = programs.run(argv, timeout_seconds=INSTALL_SECONDS_MAX)
    if done.returncode:
        raise AssertionError(f"{argv}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
