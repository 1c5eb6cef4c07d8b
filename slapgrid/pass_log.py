"""How the last passes ended, on disk for whoever asks for the status of a computer."""

from __future__ import annotations

import json
from collections.abc import Mapping

from runtime.ports import IFileTree, Runtime
from slapgrid.layout import LAST_PASSES
from slapgrid.results import PassResult
from slapgrid.standing import LastPass

#: An idle agent makes a pass each few seconds: it is written so often at most.
NOTE_SECONDS = 60.0
#: The end of a reason that a thousand failures gave.
REASON_CHARACTERS_MAX = 2000
PASS_LOG_BYTES_MAX = 64 * 1024


class PassLog:
    """The last pass of each kind."""

    def __init__(self, runtime: Runtime, tree: IFileTree) -> None:
        self._runtime = runtime
        self._tree = tree
        self._last: dict[str, LastPass] = {}

    def note(self, kind: str, result: PassResult) -> None:
        """Remember how a pass ended; at once when it did something or failed anew."""
        now = self._runtime.calendar.now()
        reason = result.reason[-REASON_CHARACTERS_MAX:]
        last = LastPass(kind, now, int(result.exit_status), reason)
        before = self._last.get(kind)
        if (
            before is not None
            and not result.outcomes
            and before.exit_status == last.exit_status
            and 0 <= now - before.ended_at < NOTE_SECONDS
        ):
            return
        self._last[kind] = last
        try:
            self._tree.make_directory(LAST_PASSES.rpartition("/")[0], 0o700)
            self._tree.write(LAST_PASSES, _encode(self._last), 0o600)
        except OSError as error:
            # Nobody's work depends on it; a full disk must not stop what frees it.
            self._runtime.log.debug("pass not noted: {error}", error=error)


def read_pass_log(tree: IFileTree) -> tuple[LastPass, ...]:
    """What was noted; nothing when that cannot be read."""
    try:
        document = json.loads(tree.read(LAST_PASSES, PASS_LOG_BYTES_MAX))
        return tuple(
            LastPass(str(kind), float(at), int(status), str(reason))
            for kind, (at, status, reason) in sorted(document.items())
        )
    except (OSError, ValueError, TypeError, AttributeError):
        return ()


def _encode(last: Mapping[str, LastPass]) -> bytes:
    document = {
        kind: [each.ended_at, each.exit_status, each.reason]
        for kind, each in sorted(last.items())
    }
    return json.dumps(document, indent=1).encode()
