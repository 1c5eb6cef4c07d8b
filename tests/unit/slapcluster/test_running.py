"""Commands on the real reactor, as processes."""

from __future__ import annotations

import signal
import subprocess  # noqa: TID251 - the product's programs, from outside
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]

TIDY = """
from twisted.internet.defer import Deferred
from slapcluster.running import launch

async def main(runtime):
    print("running", flush=True)
    try:
        await Deferred()
    finally:
        print("tidied up", flush=True)

launch(main)
"""


def a_program(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, "-c", code),
        cwd=TOP,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def a_command(*arguments: str) -> subprocess.Popen[str]:
    return a_program(
        f"import sys; sys.argv[1:] = {arguments!r}; "
        "from slapcluster.cli import main; main()"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_a_command_tidy_up(number: signal.Signals) -> None:
    """The coroutine is cancelled, ends its work, and the exit code names the signal."""
    with a_program(TIDY) as program:
        assert program.stdout.readline() == "running\n"
        program.send_signal(number)
        output, _ = program.communicate(timeout=30)

    assert output == "tidied up\n"
    assert program.returncode == 128 + number


def test_ctrl_c_is_exit_code_130_without_a_traceback() -> None:
    """A command that waits ends at Ctrl-C."""
    with a_command("proxy", "--store", "memory:", "--listen", "127.0.0.1:0") as proxy:
        assert any("serving on" in line for line in proxy.stderr)
        proxy.send_signal(signal.SIGINT)
        _, errors = proxy.communicate(timeout=30)

    assert proxy.returncode == 130
    assert "Traceback" not in errors


def test_sigterm_is_the_ordinary_end_of_a_program() -> None:
    with a_command("proxy", "--store", "memory:", "--listen", "127.0.0.1:0") as proxy:
        assert any("serving on" in line for line in proxy.stderr)
        proxy.terminate()
        proxy.communicate(timeout=30)

    assert proxy.returncode == 0


def test_a_port_in_use_is_a_sentence() -> None:
    """Two masters on one port: the second says so and ends."""
    with a_command("proxy", "--store", "memory:", "--listen", "127.0.0.1:0") as proxy:
        first = next(line for line in proxy.stderr if "serving on" in line)
        port = first.rpartition("port=")[2].strip().rstrip(")")
        with a_command(
            "proxy", "--store", "memory:", "--listen", f"127.0.0.1:{port}"
        ) as second:
            _, errors = second.communicate(timeout=30)
        proxy.terminate()
        proxy.communicate(timeout=30)

    assert second.returncode == 1
    assert errors.startswith("Error: cannot serve on 127.0.0.1 port")


def test_tab_loads_neither_twisted_nor_zodb() -> None:
    """The shell imports the command line at every TAB."""
    code = (
        "import sys; import slapcluster.cli; "
        "print({'twisted', 'ZODB', 'rich'} & set(sys.modules))"
    )
    with a_program(code) as program:
        output, _ = program.communicate(timeout=30)

    assert output == "set()\n"


def test_a_configuration_that_is_wrong_is_a_sentence(tmp_path) -> None:
    """``node`` names the key that is missing."""
    config = tmp_path / "slapos.cfg"
    config.write_text("[slapos]\ncomputer_id = local\n")
    with a_command("node", "instance", "--cfg", str(config)) as node:
        _, errors = node.communicate(timeout=30)

    assert node.returncode == 1
    assert errors == f"Error: {config}: [slapos] master_url is missing.\n"
