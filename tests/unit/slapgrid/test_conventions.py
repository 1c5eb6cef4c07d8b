"""Files of the agent beside those captured from stock nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slapgrid.config import Config
from slapgrid.convergence.views import PromiseView
from slapgrid.layout import ProgramKind, release_directory
from slapgrid.profiles import (
    SlapConnection,
    render_instance_profile,
    render_software_profile,
)
from slapgrid.promises.records import (
    PromiseFile,
    PromiseRun,
    encode_cache,
    encode_log_line,
    encode_result,
    find_promises,
    view_promise,
)
from slapgrid.supervision.conf import (
    Account,
    ProgramDefinition,
    ProgramGroup,
    render_group,
    render_main,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "slapgrid"
PARTITION = "/srv/example/inst/slappart0"
RUN_AT = 1795218426.9564521


def golden(name: str) -> str:
    return (GOLDEN / name).read_text()


def a_run(**overrides: object) -> PromiseRun:
    values = {
        "promise": PromiseFile("always-ok", is_plugin=False),
        "is_failed": False,
        "message": "",
        "run_at": RUN_AT,
        "execution_seconds": 0.05,
        "module_modified_at": 1795216712.499224,
    }
    return PromiseRun(**{**values, **overrides})  # type: ignore[arg-type]


def a_config(**overrides: object) -> Config:
    values = {
        "computer_id": "COMP-1",
        "master_urls": ("http://127.0.0.1:5000",),
        "software_root": "/srv/soft",
        "instance_root": "/srv/inst",
    }
    return Config(**{**values, **overrides})  # type: ignore[arg-type]


def test_the_tail_of_an_instance_profile_is_that_of_stock_nodes() -> None:
    """Ours adds one line, the empty version of the directory of eggs."""
    stock = golden("instance-buildout.cfg")
    template, _, _ = stock.partition("\n\n\n# This is beginning")
    connection = SlapConnection(
        "local_computer",
        "slappart0",
        "http://127.0.0.1:15000/",
        "/srv/example/sr/software.cfg",
        "started",
    )

    rendered = render_instance_profile(template, connection)

    body, added, rest = rendered.rpartition("eggs-directory-version =\n")
    assert added
    assert body + rest == stock + "\n" * (not stock.endswith("\n"))


def test_no_value_of_a_connection_adds_lines_to_a_profile() -> None:
    """A URL with a line end is one option still."""
    connection = SlapConnection(
        "COMP-1",
        "slappart0",
        "http://master/",
        "http://x/\n[buildout]\na = b",
        "started",
    )

    rendered = render_instance_profile("[buildout]", connection)

    assert "software-release-url = http://x/ [buildout] a = b\n" in rendered


def test_a_software_profile_extends_the_release() -> None:
    """And hands on a directory of eggs that instances can use as it is."""
    assert render_software_profile(a_config(), "http://master/software.cfg") == (
        "[buildout]\n"
        "extends = http://master/software.cfg\n"
        "shared-part-list =\n  \n"
        "build-time-part-list =\n  \n"
        "eggs-directory-version =\n"
    )


def test_a_group_file_is_that_of_stock_nodes_but_for_the_home() -> None:
    """The home of a program is its partition."""
    group = ProgramGroup(
        "slappart0",
        PARTITION,
        (
            ProgramDefinition("sleeper", ProgramKind.SERVICE),
            ProgramDefinition("init", ProgramKind.RUN),
        ),
        Account(1001, 1001, "nodew1"),
    )

    stock = golden("supervisord.conf.d-slappart0.conf")
    wanted = stock.replace('HOME="/srv/example"', f'HOME="{PARTITION}"')
    assert render_group(group).rstrip() == wanted.rstrip()


def test_the_main_file_includes_all_groups_and_our_interface() -> None:
    """And asks for file descriptors, which stock nodes leave unset."""
    rendered = render_main("/srv/in%st", file_descriptors_min=4096).splitlines()

    assert "files = /srv/in%%st/etc/supervisord.conf.d/*.conf" in rendered
    assert "[rpcinterface:slapgrid]" in rendered
    assert "minfds = 4096" in rendered


def test_a_result_is_written_as_stock_nodes_do() -> None:
    """Byte for byte."""
    assert encode_result(a_run(), PARTITION) == golden("always-ok.status.json").encode()


def test_a_cache_is_written_as_stock_nodes_do() -> None:
    """The module is the promise itself, where stock nodes name their wrapper."""
    stock = json.loads(golden("promise-cache-always-ok.json"))
    ours = json.loads(encode_cache(a_run(), PARTITION))

    assert list(ours) == list(stock)
    assert {**ours, "module_file": stock["module_file"]} == stock


def test_a_log_line_has_the_three_fields_that_stock_promises_read() -> None:
    """Date, level, and a number that tells the runs of one second apart."""
    assert encode_log_line(a_run(message="fine"), 7) == (
        b"2026-11-20 23:47:06 - INFO - 1795218426-007 - fine\n"
    )


def test_plug_ins_and_executables_are_found_and_told_apart() -> None:
    """A plug-in hides the executable of the same title, whose files are the same."""
    found = find_promises(("__init__.py", "b.py", "1.py", "notes.txt"), ("a", "b"))

    assert found == (
        PromiseFile("a", is_plugin=False),
        PromiseFile("b.py", is_plugin=True),
    )


def test_a_promise_is_due_when_its_period_has_passed() -> None:
    """Its last failure is known until then."""
    run = a_run(is_failed=True, message="no", module_modified_at=5.0)
    cache, result = encode_cache(run, PARTITION), encode_result(run, PARTITION)

    view = view_promise(run.promise, cache, result, 5.0, RUN_AT + 1)

    assert view == PromiseView("always-ok", RUN_AT + 120, "no")


@pytest.mark.parametrize(
    ("modified_at", "now"),
    [(6.0, RUN_AT + 1), (5.0, RUN_AT - 3600)],
    ids=["the promise was rewritten", "the calendar was set back"],
)
def test_a_promise_is_due_at_once_when_its_cache_says_nothing(
    modified_at: float, now: float
) -> None:
    """A stale cache is not believed."""
    run = a_run(module_modified_at=5.0)
    cache, result = encode_cache(run, PARTITION), encode_result(run, PARTITION)

    assert view_promise(run.promise, cache, result, modified_at, now).due_at == 0


@pytest.mark.parametrize("broken", [None, b"", b"[]", b"{", b'{"next_run_after": 1}'])
def test_a_broken_cache_makes_a_promise_due(broken: bytes | None) -> None:
    """Corrupted files cost a run, no more."""
    promise = PromiseFile("always-ok", is_plugin=False)

    assert view_promise(promise, broken, broken, 1.0, 2.0) == PromiseView("always-ok")


def test_a_release_stands_in_the_md5_of_its_url() -> None:
    """As stock nodes do, and recipes rely on."""
    assert release_directory("/srv/example/sr/software.cfg") == (
        "f48a3eeff8ca066d1f962f45d92d27cc"
    )
