"""Shell. Plays one trial of one mutant: an interpreter of its own, for nothing else.

    python -m labsim.mutants.playing MUTANT TRIAL SEED

``MUTANT`` is empty for the code as it is. One line of JSON says how it ended.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys

from labsim.checkers.violation import BROKEN
from labsim.mutants.changing import ChangedSources, texts_of
from labsim.mutants.table import named_mutant
from labsim.mutants.trials import Finding, play_trial

CPU_SECONDS_MAX = 300
"""Of one trial. A whole one takes up to thirty; a mutant that asks again without a
pause never ends."""

SENTENCE_CHARACTERS_MAX = 500
"""The rest is in the run itself."""


def main() -> None:
    name, trial, seed = sys.argv[1:]
    signal.signal(signal.SIGXCPU, _give_up)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, resource.RLIM_INFINITY))
    if name:
        ChangedSources(texts_of(named_mutant(name).changes)).install()
    _tell(play_trial(trial, int(seed)))


def _give_up(*_: object) -> None:
    sentence = f"did not end within {CPU_SECONDS_MAX} s of CPU"
    _tell(Finding(BROKEN, sentence))
    # Whatever stands between here and the trial would catch an exception.
    os._exit(0)


def _tell(finding: Finding | None) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    said = {
        "checker": finding and finding.checker,
        "sentence": finding and finding.sentence[:SENTENCE_CHARACTERS_MAX],
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    }
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
