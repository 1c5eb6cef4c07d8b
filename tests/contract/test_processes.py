"""Programs, as this machine runs them and as a simulated host does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from runtime.ports import OUTPUT_BYTES_MAX, Exit, IProcessRunner
from runtime.processes import TERMINATION_SECONDS
from tests.contract.benches import Bench, RealBench, SimulatedBench


def ending(status=0, output=b""):
    """A behaviour that ends at once."""

    async def behaviour(_):
        return Exit(status, output=output)

    return behaviour


async def lasting(process):
    await process.sleep(1000)
    return Exit(0)


async def stubborn(process):
    while True:
        try:
            await process.sleep(1000)
        except CancelledError:
            continue


async def ending_when_asked(process):
    try:
        await process.sleep(1000)
    except CancelledError:
        return Exit(7)


STUBBORN = "trap '' TERM; while :; do sleep 0.1; done"
ENDING_WHEN_ASKED = "trap 'exit 7' TERM; while :; do :; done"
OVER_TRIES_MAX = 20


def run(bench, program, on_output=None):
    async def scenario():
        return await bench.processes().run(program, on_output)

    return bench.run(scenario())


class ProcessContract:
    def test_the_runner_provides_its_interface(self, bench: Bench):
        assert verifyObject(IProcessRunner, bench.runtime.processes)

    def test_a_program_gives_its_status_and_its_output(self, bench):
        program = bench.shell("echo out; exit 3", ending(3, b"out\n"))

        assert run(bench, program) == Exit(3, output=b"out\n", output_bytes_total=4)

    def test_success_is_status_zero(self, bench):
        ends = [run(bench, bench.shell(f"exit {n}", ending(n))) for n in (0, 1)]

        assert [end.is_success for end in ends] == [True, False]

    def test_the_last_part_of_a_long_output_is_kept(self, bench):
        program = bench.shell(
            "echo first; echo last", ending(0, b"first\nlast\n"), output_bytes_max=5
        )

        assert run(bench, program) == Exit(0, output=b"last\n", output_bytes_total=11)

    def test_output_is_given_as_it_comes(self, bench):
        parts = []
        run(
            bench,
            bench.shell("echo one; echo two", ending(0, b"one\ntwo\n")),
            parts.append,
        )

        assert b"".join(parts) == b"one\ntwo\n"

    def test_the_log_keeps_the_beginning_up_to_its_bound(self, bench):
        files = bench.runtime.file_tree(bench.directory)
        files.write("log", b"what was there before, which is longer")
        program = bench.shell(
            "echo first; echo last",
            ending(0, b"first\nlast\n"),
            log_path=files.path("log"),
            log_bytes_max=8,
        )

        assert run(bench, program).output == b"first\nlast\n"
        assert files.read("log") == b"first\nla"

    def test_a_missing_program_has_status_127_and_says_why(self, bench):
        program = evolve(bench.shell("", ending()), argv=("no-such-program",))
        end = run(bench, program)

        assert end.status == 127
        assert b"no-such-program cannot be started" in end.output
        assert end.output_bytes_total == len(end.output)

    def test_a_program_in_a_missing_directory_has_status_127(self, bench):
        program = bench.shell("", ending(), directory=f"{bench.directory}/missing")

        assert run(bench, program).status == 127

    def test_a_program_that_takes_too_long_is_ended(self, bench):
        program = bench.shell("sleep 1000", lasting, timeout_seconds=0.2)

        assert run(bench, program) == Exit(
            None, signal=signal.SIGTERM, is_timed_out=True
        )

    def test_a_program_that_does_not_want_to_end_is_killed(self, bench):
        program = bench.shell(STUBBORN, stubborn, timeout_seconds=0.2)

        assert run(bench, program) == Exit(
            None, signal=signal.SIGKILL, is_timed_out=True
        )

    def test_a_program_may_end_in_its_own_way_when_asked(self, bench):
        program = bench.shell(ENDING_WHEN_ASKED, ending_when_asked, timeout_seconds=0.3)

        assert run(bench, program) == Exit(7, is_timed_out=True)

    def test_a_program_that_ends_in_time_is_not_timed_out(self, bench):
        program = bench.shell("exit 0", ending(), timeout_seconds=10)

        assert run(bench, program) == Exit(0)

    @pytest.mark.parametrize("script", ["sleep 1000", STUBBORN])
    def test_cancelling_ends_the_program_before_it_is_told(self, bench, script):
        behaviour = stubborn if script == STUBBORN else lasting
        started = []
        program = bench.shell(f"echo $$; {script}", behaviour)
        is_over = []

        async def scenario():
            runner = bench.processes()
            running = runner.run(program, started.append)
            running.addErrback(lambda reason: reason.trap(CancelledError) and None)
            running.addBoth(lambda _: is_over.append(bench.runtime.clock.seconds()))
            pause = Deferred()
            bench.runtime.clock.callLater(0.2, pause.callback, None)
            await pause
            running.cancel()
            assert not is_over
            await running

        bench.run(scenario())

        assert is_over
        for pid in b"".join(started).split():
            with pytest.raises(ProcessLookupError):
                os.kill(int(pid), 0)

    def test_many_programs_run_at_once(self, bench):
        program = bench.shell("sleep 0.2; echo done", ending(0, b"done\n"))

        async def scenario():
            runner = bench.processes()
            running = [runner.run(program) for _ in range(20)]
            return [(await one).output for one in running]

        assert bench.run(scenario()) == [b"done\n"] * 20


class TestRealProcesses(ProcessContract):
    @pytest.fixture
    def bench(self, real_bench: RealBench) -> RealBench:
        return real_bench

    def test_the_environment_is_the_whole_environment(self, bench):
        program = bench.shell("", ending(), environment={"ONLY": "this"})

        end = run(bench, evolve(program, argv=("/usr/bin/env",)))

        assert end.output == b"ONLY=this\n"

    def test_a_program_is_found_on_the_path_of_its_own_environment(self, bench):
        directory = Path(bench.directory, "bin")
        directory.mkdir()
        (directory / "mine").write_text("#!/bin/sh\necho found\n")
        (directory / "mine").chmod(0o755)
        program = bench.shell("", ending(), environment={"PATH": str(directory)})

        assert run(bench, evolve(program, argv=("mine",))).output == b"found\n"

    def test_the_umask_is_that_of_the_program(self, bench):
        program = bench.shell("umask", ending(), umask=0o077)

        assert run(bench, program).output == b"0077\n"

    def test_stdin_is_empty(self, bench):
        assert run(bench, bench.shell("cat", ending())).is_success

    def test_stdout_and_stderr_are_merged_in_order(self, bench):
        program = bench.shell("echo 1; echo 2 >&2; echo 3", ending())

        assert run(bench, program).output == b"1\n2\n3\n"

    def test_a_program_leads_a_session_and_a_group_of_its_own(self, bench):
        end = run(bench, bench.shell("echo $$; ps -o pid=,pgid=,sid= -p $$", ending()))

        assert len(set(end.output.split())) == 1

    def test_no_descriptor_is_inherited(self, bench):
        end = run(bench, bench.shell("ls /proc/$$/fd", ending()))

        assert set(end.output.split()) <= {b"0", b"1", b"2", b"10"}

    def test_another_identity_has_no_other_groups(self, bench):
        program = bench.shell("id -u; id -G", ending(), uid=65534, gid=65533)
        program = evolve(program, directory="/")
        end = run(bench, program)

        if os.geteuid() == 0:
            assert end.output.split() == [b"65534", b"65533"]
        else:
            assert end.status == 127

    def test_a_hundred_megabytes_of_output_do_not_stall_a_program(self, bench):
        files = bench.runtime.file_tree(bench.directory)
        program = bench.shell(
            "head -c 100000000 /dev/zero; echo end",
            ending(),
            log_path=files.path("log"),
            log_bytes_max=1_000_000,
        )
        end = run(bench, program)

        assert (end.status, end.output_bytes_total) == (0, 100_000_004)
        assert len(end.output) == OUTPUT_BYTES_MAX
        assert end.output.endswith(b"\0end\n")
        assert files.status("log").size == 1_000_000

    def test_a_log_that_cannot_be_made_is_said(self, bench):
        end = run(bench, bench.shell("true", ending(), log_path="/proc/none/log"))

        assert end.status == 127
        assert b"No such file" in end.output

    def test_a_log_is_not_written_through_a_link(self, bench):
        target = Path(bench.directory, "precious")
        target.write_bytes(b"content")
        Path(bench.directory, "log").symlink_to(target)
        program = bench.shell("true", ending(), log_path=f"{bench.directory}/log")

        assert run(bench, program).status == 127
        assert target.read_bytes() == b"content"

    def test_a_pipe_in_place_of_a_log_does_not_stall_the_program(self, bench):
        path = f"{bench.directory}/log"
        os.mkfifo(path)

        assert run(bench, bench.shell("true", ending(), log_path=path)).status == 127

    def test_a_full_disk_ends_the_log_and_not_the_program(self, bench):
        program = bench.shell("echo one; echo two", ending(), log_path="/dev/full")

        assert run(bench, program) == Exit(
            0, output=b"one\ntwo\n", output_bytes_total=8
        )

    def test_a_program_that_wrote_something_is_over_when_it_ends(self, bench):
        clock = bench.runtime.clock
        # Other programs may keep one waiting, not each time so long.
        for _ in range(OVER_TRIES_MAX):
            start = clock.seconds()
            run(bench, bench.shell("echo out", ending(0, b"out\n")))
            seconds = clock.seconds() - start
            if seconds < 0.9:
                return
        pytest.fail(f"it was over {seconds:.1f} s after its end, each time")

    def test_a_daemon_that_holds_the_output_delays_the_result_by_a_second(self, bench):
        clock = bench.runtime.clock
        start = clock.seconds()
        end = run(bench, bench.shell("setsid sleep 1000 & echo $!", ending()))
        os.kill(int(end.output), signal.SIGKILL)

        assert end.status == 0
        assert 1 <= clock.seconds() - start < 5

    def test_the_whole_group_is_ended(self, bench):
        program = bench.shell(
            f"({STUBBORN}) & echo $!; wait", ending(), timeout_seconds=0.3
        )
        end = run(bench, program)

        assert end.signal == signal.SIGTERM
        assert is_gone(int(end.output))

    def test_no_zombie_stays(self, bench):
        run(bench, bench.shell("exit 1", ending()))
        run(bench, bench.shell("sleep 1000", ending(), timeout_seconds=0.1))

        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def test_the_time_to_end_is_some_seconds(self):
        assert TERMINATION_SECONDS == 5


def is_gone(pid):
    """Whether a process has ended, be it a zombie that init has not reaped."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] in {"Z", "X"}


class TestSimulatedProcesses(ProcessContract):
    @pytest.fixture
    def bench(self, simulated_bench: SimulatedBench) -> SimulatedBench:
        return simulated_bench

    def test_the_time_to_end_is_that_of_the_real_runner(self, bench):
        clock = bench.runtime.clock
        run(bench, bench.shell(STUBBORN, stubborn, timeout_seconds=10))

        seconds = 10 + TERMINATION_SECONDS
        assert seconds <= clock.seconds() < seconds + 0.1
