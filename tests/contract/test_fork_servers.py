"""Programs as forks of a prepared process, and as a simulated host runs them.

They keep what ``tests/contract/test_processes.py`` asks of programs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from runtime.ports import (
    Exit,
    ForkRefused,
    ForkServerLost,
    ForkServerUnavailable,
    IForkServer,
    Program,
)
from slapgrid.shims import fork_server
from tests.contract.benches import RealBench, SimulatedBench
from tests.contract.test_processes import ending, is_gone, lasting, stubborn
from tests.programs import eventually

ROOT_OPTIONS = ("-I", "-S")
SHIM = """\
import os, signal, subprocess, sys, threading, time
prepared = []
def prepare(argument):
    if argument == "fail":
        sys.exit("the preparation failed")
    if argument == "hang":
        time.sleep(1000)
    prepared.append(argument)
def run(arguments):
    exec(arguments[0])
"""

ENDINGS = {
    "print('out'); sys.exit(3)": Exit(3, output=b"out\n", output_bytes_total=4),
    "pass": Exit(0),
    "sys.exit('why')": Exit(1, output=b"why\n", output_bytes_total=4),
    "os.kill(os.getpid(), 9)": Exit(None, signal=signal.SIGKILL),
    "os.write(1, b'1'); os.write(2, b'2'); os._exit(5)": Exit(
        5, output=b"12", output_bytes_total=2
    ),
}


class RealServer:
    """Programs in Python, as forks of a server of the real world."""

    def __init__(self, bench: RealBench, public: str) -> None:
        self.bench = bench
        self.shim = Path(public, "shim.py")
        self.shim.write_text(SHIM)

    def server(self, argument="ready", **fields):
        user = {}
        if os.getuid() == 0:
            # A release belongs to an ordinary user, and so do instances.
            user = {"owner": [1200, 1200], "identities": [[1201, 1201], [1202, 1202]]}
            user["python"] = [sys.executable, *ROOT_OPTIONS]
        settings = json.dumps({"arguments": {"shim.py": argument}, **user})
        return Program(
            (
                sys.executable,
                *ROOT_OPTIONS,
                fork_server.__file__,
                settings,
                str(self.shim),
            ),
            directory="/",
            **{"timeout_seconds": 30.0, **fields},
        )

    def program(self, code, behaviour=None, **fields):
        del behaviour
        root = {"uid": 1201, "gid": 1201} if os.getuid() == 0 else {}
        argv = (sys.executable, *ROOT_OPTIONS, str(self.shim), code)
        return Program(argv, directory="/", **{**root, **fields})


class SimulatedServer:
    """Behaviours of a simulated host."""

    def __init__(self, bench: SimulatedBench) -> None:
        self.bench = bench

    def server(self):
        return self.bench.shell("", lasting)

    def program(self, code, behaviour, **fields):
        return self.bench.shell(code, behaviour, **fields)


def run(world, scenario):
    """Run a scenario with a server that is ended after it."""

    async def whole():
        server = await world.bench.processes().start_fork_server(world.server())
        try:
            return await scenario(server)
        finally:
            await server.stop()

    return world.bench.run(whole())


def run_program(world, program, on_output=None):
    async def scenario(server):
        return await server.run(program, on_output)

    return run(world, scenario)


class ForkServerContract:
    def test_a_server_provides_its_interface(self, world):
        async def scenario(server):
            return verifyObject(IForkServer, server), server.is_alive

        assert run(world, scenario) == (True, True)

    def test_a_program_gives_its_status_and_its_output(self, world):
        program = world.program("print('out'); sys.exit(3)", ending(3, b"out\n"))

        assert run_program(world, program) == Exit(
            3, output=b"out\n", output_bytes_total=4
        )

    def test_the_log_keeps_the_beginning_up_to_its_bound(self, world):
        files = world.bench.runtime.file_tree(world.bench.directory)
        program = world.program(
            "print('first'); print('last')",
            ending(0, b"first\nlast\n"),
            log_path=files.path("log"),
            log_bytes_max=8,
            output_bytes_max=5,
        )

        assert run_program(world, program).output == b"last\n"
        assert files.read("log") == b"first\nla"

    def test_a_program_that_takes_too_long_is_ended(self, world):
        program = world.program("time.sleep(1000)", lasting, timeout_seconds=0.2)

        assert run_program(world, program) == Exit(
            None, signal=signal.SIGTERM, is_timed_out=True
        )

    def test_a_program_that_does_not_want_to_end_is_killed(self, world):
        code = "signal.signal(15, signal.SIG_IGN)\nwhile True: time.sleep(1000)"
        program = world.program(code, stubborn, timeout_seconds=0.5)

        assert run_program(world, program) == Exit(
            None, signal=signal.SIGKILL, is_timed_out=True
        )

    def test_cancelling_ends_the_program_before_it_is_told(self, world):
        program = world.program("time.sleep(1000)", lasting)
        is_over = []

        async def scenario(server):
            running = server.run(program)
            running.addErrback(lambda reason: reason.trap(CancelledError) and None)
            running.addBoth(lambda _: is_over.append(True))
            await deferLater(world.bench.runtime.clock, 0.2)
            running.cancel()
            assert not is_over
            await running

        run(world, scenario)

        assert is_over

    def test_many_programs_run_at_once(self, world):
        code = "time.sleep(0.2); print('done')"
        program = world.program(code, ending(0, b"done\n"))

        async def scenario(server):
            running = [server.run(program) for _ in range(20)]
            return [(await each).output for each in running]

        assert run(world, scenario) == [b"done\n"] * 20

    def test_a_server_that_was_stopped_refuses(self, world):
        async def scenario(server):
            await server.stop()
            assert not server.is_alive
            with pytest.raises(ForkRefused, match="has ended"):
                await server.run(world.program("pass", ending()))

        run(world, scenario)


class TestSimulatedForkServers(ForkServerContract):
    @pytest.fixture
    def world(self, simulated_bench: SimulatedBench) -> SimulatedServer:
        return SimulatedServer(simulated_bench)


class TestRealForkServers(ForkServerContract):
    @pytest.fixture
    def world(self, real_bench: RealBench) -> Iterator[RealServer]:
        with tempfile.TemporaryDirectory() as public:
            Path(public).chmod(0o755)
            yield RealServer(real_bench, public)

    @pytest.mark.parametrize("code", list(ENDINGS))
    def test_a_fork_ends_as_a_process_does(self, world, code):
        assert run_program(world, world.program(code)) == ENDINGS[code]

    def test_what_was_prepared_is_there_and_what_a_fork_does_stays_there(self, world):
        code = "prepared.append(1); os.chdir('/usr'); os.umask(0); print(prepared)"
        program = world.program(code)

        async def scenario(server):
            return [(await server.run(program)).output for _ in range(2)]

        assert run(world, scenario) == [b"['ready', 1]\n"] * 2

    def test_what_a_process_has_is_that_of_the_program(self, world):
        code = (
            "print(os.getcwd(), oct(os.umask(0)), sys.argv[1] == arguments[0],"
            " os.environ.get('ONLY'), 'HOME' in os.environ,"
            " os.getpid() == os.getpgid(0) == os.getsid(0), sys.stdin.read() == '',"
            " sorted(os.listdir('/proc/self/fd')))"
        )
        program = world.program(code, environment={"ONLY": "this"}, umask=0o77)
        program = evolve(program, directory="/usr")

        assert run_program(world, program).output.decode() == (
            "/usr 0o77 True this False True True ['0', '1', '2', '3', '4']\n"
        )

    def test_what_is_left_to_do_at_the_end_is_done(self, world):
        code = (
            "import atexit; atexit.register(print, 'at exit')\n"
            "def late(): time.sleep(0.1); print('from a thread')\n"
            "threading.Thread(target=late).start()"
        )

        assert run_program(world, world.program(code)).output == (
            b"from a thread\nat exit\n"
        )

    def test_the_whole_group_is_ended(self, world):
        code = (
            "ignoring = 'trap \"\" TERM; sleep 1000'\n"
            "child = subprocess.Popen(['/bin/sh', '-c', ignoring])\n"
            "print(child.pid, flush=True); child.wait()"
        )
        program = world.program(code, timeout_seconds=0.5)
        ended = run_program(world, program)

        assert ended.is_timed_out
        assert is_gone(int(ended.output))

    def test_a_daemon_that_holds_the_output_delays_the_result_by_a_second(self, world):
        code = "print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)"
        clock = world.bench.runtime.clock
        start = clock.seconds()
        ended = run_program(world, world.program(code))
        os.kill(int(ended.output), signal.SIGKILL)

        assert ended.status == 0
        assert 1 <= clock.seconds() - start < 5

    def test_a_missing_directory_is_said(self, world):
        program = evolve(world.program("pass"), directory="/nowhere")
        ended = run_program(world, program)

        assert ended.status == 127
        assert b"cannot be started" in ended.output

    def test_a_shim_that_the_server_does_not_know_is_not_run(self, world):
        program = evolve(world.program("pass"), argv=("python", "/bin/shim.py"))

        assert run_program(world, program).status == 127

    @pytest.mark.parametrize(
        ("argument", "sentence"),
        [("fail", "the preparation failed"), ("hang", "not get ready")],
    )
    def test_a_server_that_cannot_prepare_says_why(self, world, argument, sentence):
        program = world.server(argument, timeout_seconds=0.5)

        async def scenario():
            with pytest.raises(ForkServerUnavailable, match=sentence):
                await world.bench.processes().start_fork_server(program)

        world.bench.run(scenario())

    def test_a_server_that_is_missing_says_so(self, world):
        program = Program(("no-such-program",), directory="/")

        async def scenario():
            with pytest.raises(ForkServerUnavailable, match="no-such-program"):
                await world.bench.processes().start_fork_server(program)

        world.bench.run(scenario())

    def test_a_server_that_is_killed_takes_its_programs_with_it(self, world):
        started = Deferred()
        program = world.program("print(os.getpid(), flush=True); time.sleep(1000)")

        async def scenario(server):
            running = server.run(program, started.callback)
            pid = int(await started)
            os.kill(server_pid(pid), signal.SIGKILL)
            with pytest.raises(ForkServerLost):
                await running
            assert not server.is_alive
            return pid

        pid = run(world, scenario)

        assert is_gone_soon(pid)

    def test_a_server_that_stands_still_does_not_stall_who_waits(self, world):
        started = Deferred()
        code = "print(os.getpid(), flush=True); time.sleep(1000)"
        program = world.program(code, timeout_seconds=0.5)

        async def scenario(server):
            running = server.run(program, started.callback)
            os.kill(server_pid(int(await started)), signal.SIGSTOP)
            return await running

        ended = run(world, scenario)

        assert (ended.signal, ended.is_timed_out) == (signal.SIGKILL, True)

    def test_no_zombie_stays(self, world):
        run_program(world, world.program("pass"))

        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    @pytest.mark.skipif(os.getuid() != 0, reason="only root has privileges to drop")
    def test_root_does_not_exist_where_forks_run(self, world):
        code = (
            "print(os.getresuid(), os.getresgid(), os.getgroups())\n"
            "for become in (lambda: os.setuid(0), lambda: os.setuid(1202),"
            " lambda: os.setgroups([0])):\n"
            "    try: become(); print('became')\n"
            "    except OSError as error: print(type(error).__name__)\n"
            "lines = open('/proc/self/status').read().splitlines()\n"
            "print({int(line.split()[1], 16) for line in lines if line[:3] == 'Cap'})\n"
            "try: os.kill(os.getppid(), 9)\n"
            "except PermissionError: print('its server is not its own')"
        )
        said = run_program(world, world.program(code)).output.decode()

        assert said.splitlines() == [
            "(1201, 1201, 1201) (1201, 1201, 1201) []",
            "OSError",
            "PermissionError",
            "PermissionError",
            "{0}",
            "its server is not its own",
        ]

    @pytest.mark.skipif(os.getuid() != 0, reason="only root has privileges to drop")
    def test_what_is_prepared_is_not_prepared_by_root(self, world):
        world.shim.write_text(
            SHIM.replace("prepared.append(argument)", "prepared.append(os.getresuid())")
        )

        assert run_program(world, world.program("print(prepared)")).output == (
            b"[(1200, 1200, 1200)]\n"
        )

    @pytest.mark.skipif(os.getuid() != 0, reason="only root has privileges to drop")
    def test_a_user_that_the_server_cannot_become_is_refused(self, world):
        program = evolve(world.program("pass"), uid=1300, gid=1300)

        assert run_program(world, program).status == 127


def server_pid(fork_pid: int) -> int:
    """The parent of a process."""
    status = Path(f"/proc/{fork_pid}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


def is_gone_soon(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    eventually(lambda: is_gone(pid), 5, f"process {pid} goes on")
    return True
