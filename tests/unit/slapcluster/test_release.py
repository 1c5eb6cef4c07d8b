"""A wheelhouse filled by real pip, from a small project and packages made here."""

from __future__ import annotations

import fcntl
import zipfile
from pathlib import Path

import pytest

from runtime.real import build_runtime
from slapcluster.pinning import BUILD_TOOLS
from slapcluster.release import ReleaseFailed, Sources, fill_release

PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["slapsample"]

[project]
name = "sample"

[tool.setuptools.packages.find]
include = ["slap*"]
"""

BACKEND = '''\
"""Builds the wheel of the sample without any tool."""
import zipfile
from pathlib import Path


def build_wheel(directory, config_settings=None, metadata_directory=None):
    assert sorted(it.name for it in Path().iterdir()) == FILES
    name = "sample-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        wheel.writestr("sample.py", Path("slapsample/__init__.py").read_text())
        info = "sample-1.0.dist-info"
        metadata = "Metadata-Version: 2.1\\nName: sample\\nVersion: 1.0\\n"
        metadata += "Provides-Extra: command\\n"
        metadata += "Requires-Dist: needed; extra == 'command'\\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name


FILES = ["COPYING", "README.md", "pyproject.toml", "slapsample"]
'''

PACKAGES = (*BUILD_TOOLS, "needed")


def add_wheel(directory: Path, name: str, version: str) -> None:
    info = f"{name.replace('.', '_')}-{version}"
    with zipfile.ZipFile(directory / f"{info}-py3-none-any.whl", "w") as wheel:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{info}.dist-info/METADATA", metadata)
        wheel.writestr(
            f"{info}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}.dist-info/RECORD", "")
        wheel.writestr("vendor/other-9.dist-info/METADATA", "Name: no\n")


def build_sources(top: Path) -> Sources:
    """A checkout with all that it needs already here."""
    for path, content in {
        "pyproject.toml": PROJECT,
        "README.md": "sample\n",
        "COPYING": "free\n",
        "slapsample/__init__.py": "WORD = 1\n",
        "slapsample/backend.py": BACKEND,
        "slapsample/__pycache__/old.pyc": "",
        "slapnothing/file": "no package\n",
        "software/hello/software.cfg": "[buildout]\n",
        "versions.cfg": "[versions]\n" + "".join(f"{it} = 1.0\n" for it in PACKAGES),
    }.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(content)
    wheels = top / ".make" / "cache" / "dist"
    wheels.mkdir(parents=True)
    for name in PACKAGES:
        add_wheel(wheels, name, "1.0")
    return Sources(top)


@pytest.fixture
def fill(tmp_path, run_real):
    """``fill()`` fills ``tmp_path / "release"``; returns what was said."""
    sources = build_sources(tmp_path / "checkout")

    def fill_now() -> list[str]:
        said: list[str] = []
        runtime = build_runtime(run_real.reactor)
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        # Nothing may come from a registry.
        environment["PIP_CONFIG_FILE"] = "/dev/null"
        environment["PIP_NO_INDEX"] = "1"
        output = tmp_path / "release"
        steps: list[str] = []
        filling = fill_release(
            *(sources, output, runtime, environment, said.append),
            show_step=steps.append,
        )
        run_real(filling, timeout_seconds=120)
        assert not steps or steps[-1].startswith("Building wheel")
        return said

    return fill_now


def listing(directory: Path) -> list[str]:
    files = (it for it in directory.rglob("*") if it.is_file())
    return sorted(str(it.relative_to(directory)) for it in files)


def test_a_release_holds_wheels_pins_profiles_and_sums(tmp_path, fill):
    """And a second run finds that nothing changed; a changed file is made again."""
    release = tmp_path / "release"
    said = fill()
    assert said[0] == "gathering the packages that set-up fetched"
    assert said[-1].startswith(f"{release} is ready: {len(PACKAGES) + 1} wheels, ")
    wheels = [f"{name.replace('.', '_')}-1.0" for name in (*PACKAGES, "sample")]
    assert listing(release) == sorted(
        [
            *("SHA256SUMS", "fingerprint", "inputs", "versions.cfg"),
            "software/hello/software.cfg",
            *(f"wheelhouse/{wheel}-py3-none-any.whl" for wheel in wheels),
        ]
    )
    pins = [f"{name} = 1.0" for name in sorted((*PACKAGES, "sample"))]
    assert (release / "versions.cfg").read_text().splitlines()[2:] == pins
    assert [
        it.name for it in tmp_path.iterdir() if it.name.endswith((".new", ".old"))
    ] == []

    before = release.stat().st_ino
    assert fill() == [f"{release} is up to date"]
    assert release.stat().st_ino == before

    (release / "versions.cfg").write_text("broken")
    assert fill()[-1].startswith(f"{release} is ready: ")
    (tmp_path / "checkout" / "slapsample" / "__init__.py").write_text("WORD = 2\n")
    assert fill()[-1].startswith(f"{release} is ready: ")
    (wheel,) = (release / "wheelhouse").glob("sample-*.whl")
    assert zipfile.ZipFile(wheel).read("sample.py") == b"WORD = 2\n"


def test_a_package_that_we_build_of_a_release_has_a_version_of_its_own(tmp_path, fill):
    """NEO's wheel: when what it is made of changes, a new release is filled."""
    checkout = tmp_path / "checkout"
    add_wheel(checkout / ".make" / "cache" / "dist", "needed", "1.0+ours.1")
    versions = checkout / "versions.cfg"
    pins = versions.read_text().replace("needed = 1.0", "needed = 1.0+ours.1")
    versions.write_text(pins)
    patches = checkout / "replication" / "neo" / "port" / "patches"
    patches.mkdir(parents=True)
    (patches / "01-first.patch").write_text("first")
    fill()
    wheel = "wheelhouse/needed-1.0+ours.1-py3-none-any.whl"
    assert wheel in listing(tmp_path / "release")
    assert wheel in (tmp_path / "release" / "SHA256SUMS").read_text()

    (patches / "01-first.patch").write_text("second")
    assert fill()[-1].startswith(f"{tmp_path / 'release'} is ready: ")


def test_a_package_without_pin_leaves_the_old_release(tmp_path, fill):
    """The sentence names it."""
    fill()
    before = listing(tmp_path / "release")
    versions = tmp_path / "checkout" / "versions.cfg"
    versions.write_text(versions.read_text().replace("needed = 1.0\n", ""))
    with pytest.raises(ReleaseFailed, match=r"needed 1\.0 \(pinned: no\)"):
        fill()
    assert listing(tmp_path / "release") == before


def test_a_package_that_is_nowhere_leaves_the_old_release(tmp_path, fill):
    """What pip says is passed on."""
    fill()
    before = listing(tmp_path / "release")
    versions = tmp_path / "checkout" / "versions.cfg"
    versions.write_text(versions.read_text().replace("needed = 1", "needed = 2"))
    with pytest.raises(ReleaseFailed, match="needed"):
        fill()
    assert listing(tmp_path / "release") == before


def test_a_killed_run_costs_nothing_but_its_own_work(tmp_path, fill):
    """Killed between two renames: the old one is back, the draft is gone."""
    fill()
    release = tmp_path / "release"
    release.rename(tmp_path / ".release.old")
    (tmp_path / ".release.new" / "wheelhouse").mkdir(parents=True)
    assert fill() == [f"{release} is up to date"]
    assert sorted(it.name for it in tmp_path.iterdir()) == [
        ".release.lock",
        "checkout",
        "release",
    ]


def test_two_runs_at_once_are_one(tmp_path, fill):
    """The second says so and touches nothing."""
    with (tmp_path / ".release.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ReleaseFailed, match="another run fills"):
            fill()
    assert not (tmp_path / "release").exists()
