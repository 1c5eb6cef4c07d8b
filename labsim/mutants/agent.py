# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. What an agent does so that a computer comes to what is wanted, whatever happened."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

RETRYING = "slapgrid/convergence/retrying.py"
INSTANCES = "slapgrid/convergence/instances.py"
DRAFT = "slapgrid/convergence/draft.py"
STATUSES = "slapgrid/convergence/statuses.py"
CLIENT = "slapgrid/slap_client.py"
NO_SIGNS = Change(
    CLIENT,
    "            silence = patience.silence(self._sign_seconds, self._patience_factor)\n",
    "",
)
SERVICE = "slapgrid/service.py"

MUTANTS = (
    Mutant(
        "a failure of the future delays",
        (
            Change(
                RETRYING,
                "        if found is None or now < found.tried_at:\n",
                "        if found is None:\n",
            ),
        ),
        "A calendar that was set back would have everything wait for a day.",
        ("failing", "agent"),
    ),
    Mutant(
        "delays double without end",
        (
            Change(
                RETRYING,
                "        return min(self.first_seconds * 2.0**doublings, self.seconds_max)\n",
                "        return self.first_seconds * 2.0**doublings\n",
            ),
        ),
        "After an outage of hours nobody wants to wait for hours again.",
        ("failing",),
        seed=3,
    ),
    Mutant(
        "a report of the future is not repeated",
        (
            Change(
                DRAFT,
                "        if 0 <= self.now - reported_at < REPORT_AGAIN_SECONDS:\n",
                "        if self.now - reported_at < REPORT_AGAIN_SECONDS:\n",
            ),
        ),
        "A calendar that was set back, and a master that was restored, would keep a destroyed instance for a day.",
        ("agent",),
    ),
    Mutant(
        "one report is enough",
        (
            Change(
                DRAFT,
                "        if last is None or last.text != action.stamp:\n            self.add(action)\n        elif verdict is Verdict.DESTROYED or",
                "        if last is None:\n            self.add(action)\n        elif verdict is Verdict.DESTROYED or",
            ),
        ),
        "Each change is to be reported when it is done.",
        ("agent",),
    ),
    Mutant(
        "a master that knows another report is told nothing",
        (
            Change(
                STATUSES,
                "    return status in TOLD.values() and status != TOLD.get(verdict)\n",
                "    return False\n",
            ),
        ),
        "After a backup was put back, it would say for ever that what runs is stopped.",
        ("agent",),
    ),
    Mutant(
        "a master that knows no report is told nothing",
        (
            Change(
                "slapgrid/passes.py",
                "            desired = complete_statuses(desired)\n",
                "            pass\n",
            ),
        ),
        "After a backup was put back, it would say for ever that nobody has reported.",
        ("agent",),
    ),
    Mutant(
        "programs that rest stay at rest",
        (
            Change(
                INSTANCES,
                "        plan_resumption(self.draft, self.local)\n        ended",
                "        ended",
            ),
        ),
        "After a start of supervision nothing would run.",
        ("sudden", "power"),
    ),
    Mutant(
        "a change of a stopped instance is not installed",
        (
            Change(
                INSTANCES,
                "        if local.timestamp is None or local.timestamp != self.instance.timestamp:\n",
                "        if local.timestamp is None:\n",
            ),
        ),
        "What was installed for an earlier wish is not what is wanted.",
        ("agent",),
    ),
    Mutant(
        "a silent master is waited for",
        (
            Change(
                CLIENT,
                "            timeout_seconds = wait_seconds + WAIT_GRACE_SECONDS\n",
                "            timeout_seconds = 86400.0\n",
            ),
            NO_SIGNS,
        ),
        "A cut that swallows packets would leave the agent deaf for a day. Signs of life show it sooner, of masters that give some: they are left out, too.",
        ("sudden",),
        seed=2,
    ),
    Mutant(
        "a call waits for its answer however long",
        (
            Change(
                CLIENT,
                "                timeout_seconds=timeout_seconds,\n",
                "                timeout_seconds=86400.0,\n",
            ),
            NO_SIGNS,
        ),
        "The answer may have been lost with the power of who gave it; signs of life are left out, as above.",
        ("sudden",),
        seed=1,
    ),
    Mutant(
        "a master that is away is asked at the next period",
        (
            Change(
                SERVICE,
                "            away_seconds = min(period, AWAY_POLL_SECONDS_MAX)\n",
                "            away_seconds = period\n",
            ),
        ),
        "A restart of a master would cost each computer a period.",
        ("prompt",),
    ),
    Mutant(
        "a new document wakes nobody",
        (
            Change(
                SERVICE,
                "        if before is desired:\n            return\n        self._instance_nap.wake()\n",
                "        if before is desired:\n            return\n",
            ),
        ),
        "A change would be made when programs are looked at next.",
        ("prompt",),
    ),
    Mutant(
        "the next delay of an instance is slept through",
        (
            Change(
                SERVICE,
                "            waits.append(result.next_wake - self._agent.runtime.calendar.now())\n        return max",
                "            pass\n        return max",
            ),
        ),
        "What failed once is to be tried again when its delay is over.",
        ("prompt",),
    ),
    Mutant(
        "a memory that is broken stops the agent",
        (
            Change(
                "slapgrid/kept_memory.py",
                "            except (OSError, ValueError) as error:\n",
                "            except ZeroDivisionError as error:\n",
            ),
        ),
        "A block that went bad costs some delays, and no computer.",
        ("agent",),
        seed=1,
    ),
    Mutant(
        "delays are forgotten at a restart",
        (
            Change(
                "slapgrid/kept_memory.py",
                "                self._memory = decode_memory(self._saved)\n",
                "                self._memory = RetryMemory()\n",
            ),
        ),
        "Who is started again and again would try again what fails for each start.",
        ("agent",),
    ),
    Mutant(
        "delays are not written",
        (
            Change(
                "slapgrid/kept_memory.py",
                "            _write(self._tree, RETRY_MEMORY, encoded)\n",
                "            pass\n",
            ),
        ),
        "The same, for whoever wrote nothing down.",
        ("agent",),
    ),
    Mutant(
        "the delay of a removal is slept through",
        (
            Change(
                SERVICE,
                "                result = join_results((kept, destroyed))\n",
                "                result = destroyed if destroyed.outcomes else kept\n",
            ),
        ),
        "A root whose children have left would stay until programs are looked at next.",
        ("agent",),
    ),
    Mutant(
        "programs of what is to be destroyed run on",
        (
            Change(
                INSTANCES,
                "        if self.local.programs is not None:\n            self.draft.add(StopPrograms(self._id))\n            return\n        failure = self.draft.departure_failure(self._id)\n",
                "        failure = self.draft.departure_failure(self._id)\n",
            ),
        ),
        "What runs is not removed: its partition would never be free again.",
        ("agent", "prompt", "sudden"),
    ),
)
