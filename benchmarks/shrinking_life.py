"""Shell. One mutant among a hundred hosts, shrunk: what is left, and what it cost.

    python -m benchmarks.shrinking_life MUTANT SCENARIO COMPUTERS SEED FILE

The plan that is left is written to ``FILE``. One line of JSON says the rest: CPU is of
all that ``labsim shrink`` does, with the first run, on one core.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from labsim.mutants.changing import ChangedSources, texts_of
from labsim.mutants.table import named_mutant


def main() -> None:
    mutant, scenario, computers, seed, file = sys.argv[1:]
    ChangedSources(texts_of(named_mutant(mutant).changes)).install()
    said = _shrink(scenario, int(computers), int(seed), Path(file))
    sys.stdout.write(json.dumps(said) + "\n")


def _shrink(scenario: str, computers: int, seed: int, file: Path) -> dict[str, Any]:
    # Imported only now: the mutant is among what they import.
    cli, running = import_module("labsim.cli"), import_module("labsim.run")
    shrinking, trying = (
        import_module(f"labsim.{it}") for it in ("shrinking", "trying")
    )
    gc.freeze()
    resized = import_module("labsim.scenario").resize(
        cli.load_scenario(scenario), computers=computers
    )
    plan = running.draw_plan(resized, seed)
    before = _cpu_seconds()
    tries = trying.Tries(lambda it: running.play(it).failure)
    (failure,) = tries.results((plan,))
    assert failure is not None, f"{scenario}, seed {seed} holds"
    first_seconds = _cpu_seconds() - before
    found = shrinking.shrink(plan, tries.outcomes(failure))
    cpu_seconds = _cpu_seconds() - before
    file.write_text(import_module("labsim.plan").encode_plan(found.plan))
    left = found.plan
    return {
        "failure": failure,
        "hosts_before": len(plan.topology.hosts),
        "hosts": len(left.topology.hosts),
        "faults": len(left.faults),
        "operations": len(left.operations),
        "world_seconds": left.scenario.durations.healed_at,
        "runs": found.run_count,
        "is_minimal": found.is_minimal,
        "first_seconds": round(first_seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
    }


def _cpu_seconds() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(it)[:2]) for it in whose)


if __name__ == "__main__":
    main()
