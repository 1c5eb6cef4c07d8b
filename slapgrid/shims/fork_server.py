"""Stand-alone program: a process that has imported much and becomes programs in forks.

``python OPTIONS fork_server.py SETTINGS SHIM...`` is started by
``IProcessRunner.start_fork_server`` (``runtime/forking.py`` describes the messages).
Each SHIM is a file beside this one that has

* ``prepare(argument)``: import and compute what its programs share, once, here;
* ``run(arguments)``: be the program, in a fork; ``sys.argv`` is set as well;

and may have

* ``report()``: in a fork that succeeded, what could have been prepared for it;
* ``learn(told)``: in the server, prepare some of that; whether anything was new. What
  a fork tells may be a lie of its instance.

``SETTINGS`` is JSON: ``arguments`` holds for each shim what its ``prepare`` gets.

Privileges. Instance code never runs as uid 0, and code of a release never runs with a
privilege over the computer, prepared or not. Started by an ordinary user, the server
and its forks are that user. Started by root, with the agent's own interpreter,
``SETTINGS`` must name the ``owner`` (uid and gid) of the release, the ``identities``
that forks may take, and the ``python`` of the release. Before anything of the release
is read, the server moves into a user namespace that maps these users alone, becomes
the owner and executes itself again with that ``python``. The right to become another
user, which it keeps for its forks, ends at those who are mapped: uid 0 does not exist
there. Forks give up even that.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib.util
import json
import logging
import os
import select
import signal
import socket
import sys
import threading  # noqa: TID251 - waited for at the end of a fork
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

ENVIRONMENT = os.environ  # noqa: TID251 - a program of its own
MESSAGE_BYTES_MAX = 128 * 1024
NOT_STARTED = 127
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_CAP_AMBIENT = 1, 24, 47
PR_CAP_AMBIENT_RAISE = 2
#: CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP: to become another user for good, and
#: to end forks that have.
CAPABILITIES = (5, 6, 7, 8)
CAPABILITY_VERSION_3 = 0x20080522
CAPABILITY_COUNT_MAX = 64
REPORT_BYTES_MAX = 64 * 1024
"""What a pipe holds: a fork never waits for its server to read."""
REPORT_DESCRIPTOR = 3
#: The server itself has some ten, its imports may have opened others.
DESCRIPTORS_MAX = 4096
#: What a kernel takes in one map.
MAP_LINES_MAX = 340


class Prepared:
    """The shims that forks can be, with what they have prepared."""

    def __init__(self, files: list[str], arguments: dict[str, Any]) -> None:
        self._modules: dict[str, Any] = {}
        for number, file in enumerate(files):
            spec = importlib.util.spec_from_file_location(f"shim_{number}", file)
            assert spec is not None, file
            assert spec.loader is not None, file
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            self._modules[file] = module
        self._arguments = arguments

    def prepare(self) -> None:
        """Have each shim import and compute what its programs share."""
        for file, module in self._modules.items():
            module.prepare(self._arguments.get(Path(file).name))

    def find(self, argv: list[str]) -> tuple[Any, list[str]]:
        """The shim that a command line runs, and the command line from it on."""
        for place, each in enumerate(argv):
            if each in self._modules:
                return self._modules[each], argv[place:]
        raise LookupError(f"no shim of this server is in {argv}")


class Kernel:
    """Calls that Python has no name for."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)

    def check(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, name)(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")

    def die_with_parent(self) -> None:
        self.check("prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

    def keep_capabilities(
        self, kept: tuple[int, ...], *, is_inherited: bool = False
    ) -> None:
        """Have these alone; after another program is executed only if inherited."""
        for capability in range(CAPABILITY_COUNT_MAX):
            if capability not in kept:
                with suppress(OSError):  # this kernel has not so many
                    self.check("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        mask = sum(1 << capability for capability in kept)
        # effective, permitted, inheritable; then the same for the upper 32.
        inherited = mask if is_inherited else 0
        sets = (ctypes.c_uint32 * 6)(mask, mask, inherited, 0, 0, 0)
        self.check("capset", header, sets)
        for capability in kept if is_inherited else ():
            self.check("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def map_lines(numbers: set[int]) -> str:
    """A map of these numbers to themselves, neighbours in one line."""
    lines: list[list[int]] = []
    for number in sorted(numbers):
        if lines and sum(lines[-1]) == number:
            lines[-1][1] += 1
        else:
            lines.append([number, 1])
    if len(lines) > MAP_LINES_MAX:
        raise OSError(f"{len(lines)} ranges of users, a map takes {MAP_LINES_MAX}")
    return "".join(f"{first} {first} {count}\n" for first, count in lines)


def confine(kernel: Kernel, owner: list[int], identities: list[list[int]]) -> None:
    """Become the owner of the release where nobody but these users exists."""
    users = {owner[0], *(uid for uid, _ in identities)}
    groups = {owner[1], *(gid for _, gid in identities)}
    if 0 in users or 0 in groups:
        raise OSError("root cannot own a release or an instance")
    maps = {"uid_map": map_lines(users), "gid_map": map_lines(groups)}
    server = os.getpid()
    asked, asking = os.pipe()
    # The map of a namespace is written from outside of it.
    writer = os.fork()
    if writer == 0:
        status = 1
        try:
            os.close(asking)
            if os.read(asked, 1):
                for name, lines in maps.items():
                    Path(f"/proc/{server}/{name}").write_text(lines)
            status = 0
        finally:
            os._exit(status)
    os.close(asked)
    kernel.check("unshare", CLONE_NEWUSER)
    os.write(asking, b"x")
    os.close(asking)
    if os.waitpid(writer, 0)[1] != 0:
        raise OSError("the map of a user namespace cannot be written")
    os.setgroups([])
    os.setresgid(owner[1], owner[1], owner[1])
    os.setresuid(owner[0], owner[0], owner[0])
    kernel.keep_capabilities(CAPABILITIES, is_inherited=True)


class Server:
    """Forks on demand, one process, no thread."""

    def __init__(
        self, channel: socket.socket, kernel: Kernel, *, is_confined: bool
    ) -> None:
        self._channel = channel
        self._kernel = kernel
        self._is_confined = is_confined
        self._prepared: Prepared | None = None
        self._numbers: dict[int, int] = {}
        self._ended: set[int] = set()
        self._reports: dict[int, tuple[int, list[str]]] = {}
        self._is_orphan = False
        self._settings = {
            name: value for name, value in ENVIRONMENT.items() if name == "LC_CTYPE"
        }

    def serve(self, prepared: Prepared) -> None:
        """Until the agent has gone and every fork has ended."""
        self._prepared = prepared
        waking, wake = os.pipe()
        for end in (waking, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(waking, select.POLLIN)
        self._tell({"ready": True})
        while not self._is_orphan or self._numbers:
            for descriptor, _ in poll.poll():
                if descriptor == waking:
                    with suppress(BlockingIOError):
                        os.read(waking, 4096)
                elif not self._take():
                    poll.unregister(self._channel)
                    self._is_orphan = True
            self._watch()

    def _take(self) -> bool:
        """Obey one message; false when there will be no more."""
        room = socket.CMSG_SPACE(4)
        try:
            content, rights, _, _ = self._channel.recvmsg(MESSAGE_BYTES_MAX, room)
        except ConnectionError:
            return False
        outputs = [int.from_bytes(passed[:4], sys.byteorder) for _, _, passed in rights]
        try:
            if not content:
                return False
            message = json.loads(content)
            if "run" in message:
                self._run(message, outputs[0])
            elif "signal" in message:
                self._signal(message["signal"], message["number"])
            elif "reap" in message:
                self._reap(message["reap"])
        finally:
            for output in outputs:
                os.close(output)
        return True

    def _run(self, message: dict[str, Any], output: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        server = os.getpid()
        reading, writing = os.pipe()
        try:
            child = os.fork()
            if child == 0:
                os._exit(self._be(message, output, writing, server))
        except OSError as error:
            os.close(reading)
            self._tell({"refused": message["run"], "reason": str(error)})
            return
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self._numbers[message["run"]] = child
        self._reports[message["run"]] = reading, message["argv"]

    def _be(
        self, message: dict[str, Any], output: int, reporting: int, server: int
    ) -> int:
        """In the fork: become the program, whose status this gives."""
        try:
            os.setsid()
            os.dup2(output, 1)
            os.dup2(output, 2)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._channel.close()
            if reporting != REPORT_DESCRIPTOR:
                os.dup2(reporting, REPORT_DESCRIPTOR, inheritable=False)
            os.closerange(REPORT_DESCRIPTOR + 1, DESCRIPTORS_MAX)
            pipe = os.fstat(REPORT_DESCRIPTOR)
            self._drop_privileges(message["uid"], message["gid"])
            self._kernel.die_with_parent()
            if os.getppid() != server:
                return NOT_STARTED  # it died before that was set
            os.umask(message["umask"])
            ENVIRONMENT.clear()
            ENVIRONMENT.update({**self._settings, **message["environment"]})
            os.chdir(message["directory"])
            assert self._prepared is not None, "it serves"
            module, argv = self._prepared.find(message["argv"])
        except BaseException as error:  # noqa: BLE001 - the end of a process
            sys.stderr.write(f"{message['argv'][0]} cannot be started: {error}\n")
            sys.stderr.flush()
            return NOT_STARTED
        sys.argv = argv
        status = finish(module.run, argv[1:])
        if status == 0 and hasattr(module, "report"):
            with suppress(Exception):  # a hint, no more
                write_report(module.report(), pipe)
        return status

    def _drop_privileges(self, uid: int | None, gid: int | None) -> None:
        if self._is_confined:
            if uid is None or gid is None:
                raise OSError("a user to run as is needed")
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            self._kernel.keep_capabilities(())
        elif uid is not None or gid is not None:
            raise OSError("an ordinary user cannot become another")

    def _signal(self, number: int, signal_number: int) -> None:
        child = self._numbers.get(number)
        if child is not None:
            # A fork may have changed its identity, and leads no group before setsid.
            for send in (os.killpg, os.kill):
                with suppress(ProcessLookupError, PermissionError):
                    send(child, signal_number)
                    break

    def _watch(self) -> None:
        """Tell of forks that have ended; they keep their number until reaped."""
        for number, child in tuple(self._numbers.items()):
            if number in self._ended:
                continue
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            ended = os.waitid(os.P_PID, child, options)
            if ended is None:
                continue
            is_status = ended.si_code == os.CLD_EXITED
            status = ended.si_status if is_status else -ended.si_status
            self._ended.add(number)
            if not self._is_orphan:
                self._tell({"ended": number, "status": status})
            self._learn(number)
        if self._is_orphan:
            for number in tuple(self._ended):
                self._reap(number)

    def _learn(self, number: int) -> None:
        """Prepare what a fork that has ended would have liked to find."""
        reading, argv = self._reports.pop(number)
        try:
            told = os.read(reading, REPORT_BYTES_MAX)
            if not told or self._is_orphan:
                return
            assert self._prepared is not None, "it serves"
            module, _ = self._prepared.find(argv)
            if module.learn(json.loads(told)):
                gc.collect()
                gc.freeze()
        except Exception:  # noqa: BLE001 - what a fork tells may be anything
            traceback.print_exc()
        finally:
            os.close(reading)

    def _reap(self, number: int) -> None:
        child = self._numbers.pop(number, None)
        self._ended.discard(number)
        if child is not None:
            os.waitpid(child, 0)

    def _tell(self, answer: dict[str, Any]) -> None:
        with suppress(OSError):  # the agent has gone: the next message says so
            self._channel.send(json.dumps(answer).encode())


def finish(run: Any, arguments: list[str]) -> int:
    """Run as the main program of a process, up to what is done at its end."""
    # What the server's imports registered is for the end of the server.
    atexit._clear()  # noqa: SLF001 - there is no other way
    atexit.register(logging.shutdown)
    status = 0
    try:
        run(arguments)
    except SystemExit as exit_:
        status = exit_status(exit_.code)
    except BaseException:  # noqa: BLE001 - the end of a process
        traceback.print_exc()
        status = 1
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - as Python
    with suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001 - as Python at its end
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    return status


def write_report(told: Any, pipe: os.stat_result) -> None:
    """To the pipe, unless the program has closed it and opened something else."""
    now = os.fstat(REPORT_DESCRIPTOR)
    content = json.dumps(told).encode()
    if (now.st_dev, now.st_ino) == (pipe.st_dev, pipe.st_ino):
        os.set_blocking(REPORT_DESCRIPTOR, False)
        if len(content) <= REPORT_BYTES_MAX:
            os.write(REPORT_DESCRIPTOR, content)


def exit_status(code: object) -> int:
    """The status of a process that raises ``SystemExit`` with this code."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def main(settings: dict[str, Any], shims: list[str]) -> None:
    """Prepare, then serve."""
    kernel = Kernel()
    if os.getuid() == 0:
        confine(kernel, settings["owner"], settings["identities"])
        python = settings["python"]
        os.execv(python[0], [*python, *sys.argv])  # noqa: S606 - its purpose
    is_confined = "owner" in settings
    if is_confined:
        kernel.keep_capabilities(CAPABILITIES)
    channel = socket.socket(fileno=os.dup(0))
    channel.set_inheritable(False)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    prepared = Prepared(shims, settings.get("arguments", {}))
    # Of a release, as its cold programs do; of the agent's own files nothing.
    sys.dont_write_bytecode = False
    prepared.prepare()
    gc.collect()
    gc.freeze()
    Server(channel, kernel, is_confined=is_confined).serve(prepared)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(json.loads(sys.argv[1]), sys.argv[2:])
