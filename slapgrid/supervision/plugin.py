"""Methods that supervisord offers to the agent, loaded inside supervisord itself.

supervisord's own ``reloadConfig`` reads the files of all groups, which takes seconds
for hundreds of them, and its groups can only be replaced as a whole. These methods
read single group files and touch single programs.

No method waits: what must end first is named in the answer, and the agent asks again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from supervisor.options import (  # type: ignore[import-untyped]
    EventListenerPoolConfig,
    UnhosedConfigParser,
)
from supervisor.states import (  # type: ignore[import-untyped]
    RUNNING_STATES,
    STOPPED_STATES,
    ProcessStates,
    SupervisorStates,
    getProcessStateDescription,
)
from supervisor.xmlrpc import Faults, RPCError  # type: ignore[import-untyped]

#: Between fork and exec a child still has the signal handlers of supervisord, which
#: swallow the signal; then it would run until SIGKILL. Closing 16384 descriptors takes
#: some of this time.
YOUTH_SECONDS = 0.5
WATCHDOG = "watchdog"


class AgentInterface:
    """The namespace ``slapgrid`` of supervisord's XML-RPC."""

    def __init__(self, supervisord: Any) -> None:
        self._supervisord = supervisord

    def observe(self) -> str:
        """A line for each process: group, name, state, exit status, by tabs.

        One text: supervisord spends more on writing hundreds of structures than on
        anything else that it is asked. Of listeners, the watchdog alone is answered.
        """
        if self._supervisord.options.mood < SupervisorStates.RUNNING:
            raise RPCError(Faults.SHUTDOWN_STATE)
        return "\n".join(
            f"{group_name}\t{name}\t{getProcessStateDescription(process.get_state())}"
            f"\t{process.exitstatus or 0}"
            for group_name, group in self._supervisord.process_groups.items()
            if group_name == WATCHDOG
            or not isinstance(group.config, EventListenerPoolConfig)
            for name, process in group.processes.items()
        )

    def apply(self, paths: list[str]) -> list[str]:
        """Make groups what their files say; a group whose file is missing goes.

        The programs that are still stopping are answered, as ``group:process``. Until
        there are none, the groups of these are not yet what was asked: call again.
        """
        return [name for path in paths for name in self._apply_file(path)]

    def start(self, names: list[str]) -> list[list[str]]:
        """Start programs named ``group:process`` that rest.

        Those that could not be started are answered with the reason.
        """
        failures = []
        for name in names:
            reason = self._start_process(name)
            if reason:
                failures.append([name, reason])
        # As the interface of supervisord does: what died at once is known sooner.
        self._supervisord.reap()
        return failures

    def stop_all(self) -> list[str]:
        """Stop all programs at once, where supervisord would go group by group.

        Those that are still stopping are answered: call again until there are none.
        """
        return [
            f"{group_name}:{name}"
            for group_name, group in self._supervisord.process_groups.items()
            for name, process in group.processes.items()
            if not self._is_stopped(process)
        ]

    def _apply_file(self, path: str) -> list[str]:
        name = os.path.basename(path).removesuffix(".conf")  # noqa: PTH119 - a text
        config = self._read(path, name)
        groups = self._supervisord.process_groups
        if name in groups:
            pending = self._change(groups[name], config)
        else:
            pending = []
            if config is not None:
                self._supervisord.add_process_group(config)
        self._remember(name, config)
        return [f"{name}:{process}" for process in pending]

    def _read(self, path: str, name: str) -> Any:
        options = self._supervisord.options
        parser = UnhosedConfigParser()
        parser.expansions = options.environ_expansions
        try:
            with Path(path).open(encoding="utf-8") as opened:
                parser.read_file(opened)
            parser.expand_here(os.path.dirname(path))  # noqa: PTH120 - a text
            configs = options.process_groups_from_parser(parser)
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            raise RPCError(Faults.CANT_REREAD, f"{path}: {error}") from error
        if [config.name for config in configs] != [name]:
            raise RPCError(Faults.CANT_REREAD, f"{path} must define group {name} alone")
        for process in configs[0].process_configs:
            environment = options.configroot.supervisord.environment.copy()
            environment.update(process.environment)
            process.environment = environment
        return configs[0]

    def _change(self, group: Any, config: Any) -> list[str]:
        processes = [] if config is None else config.process_configs
        wanted = {process.name: process for process in processes}
        pending = []
        for name, process in list(group.processes.items()):
            if process.config == wanted.get(name):
                continue
            if self._is_stopped(process):
                del group.processes[name]
            else:
                pending.append(name)
        if config is None:
            if not pending:
                self._supervisord.remove_process_group(group.config.name)
            return pending
        config.after_setuid()
        for name, process in wanted.items():
            if name not in group.processes:
                group.processes[name] = process.make_process(group)
        group.config = config
        return pending

    def _is_stopped(self, process: Any) -> bool:
        """Whether it has ended; one that runs is told to end."""
        age_seconds = time.time() - process.laststart  # noqa: TID251 - supervisord's
        is_young = 0 <= age_seconds < YOUTH_SECONDS
        if process.get_state() in RUNNING_STATES and not is_young:
            process.stop()
        return process.get_state() in STOPPED_STATES

    def _remember(self, name: str, config: Any) -> None:
        # What supervisorctl compares with: its reread then finds nothing to change.
        options = self._supervisord.options
        kept = [each for each in options.process_group_configs if each.name != name]
        options.process_group_configs = kept + ([] if config is None else [config])

    def _start_process(self, name: str) -> str:
        group_name, _, process_name = name.partition(":")
        group = self._supervisord.process_groups.get(group_name)
        process = None if group is None else group.processes.get(process_name)
        if process is None:
            return "no such program"
        if process.get_state() in RUNNING_STATES:
            return ""
        if process.get_state() == ProcessStates.STOPPING:
            return "it is still stopping"
        if process.get_state() == ProcessStates.UNKNOWN:
            return "supervisord has lost it"
        process.spawn()
        return str(process.spawnerr or "")


def make_rpc_interface(supervisord: Any, **_: object) -> AgentInterface:
    """What supervisord calls for ``[rpcinterface:slapgrid]``."""
    return AgentInterface(supervisord)
