"""Stand-alone program: runs one promise plug-in under the plug-in's own ``sys.path``.

``python -I promise_shim.py PLUGIN TOKEN CONFIG`` prints, on a last line that begins
with the token, the result as JSON. The configuration is JSON too, with the keys that
stock promises expect. The first assignment of a plug-in must be ``sys.path[0:0]``; it
holds before the plug-in is imported.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
import traceback
from pathlib import Path
from typing import Any

#: As the stock runner: the end of a message says what went wrong.
MESSAGE_CHARACTERS_MAX = 5000


class ResultQueue:
    """What a stock promise puts its result in; this program asks it directly."""

    def put_nowait(self, item: object) -> None:
        """Take the result and forget it."""


def plugin_path(source: str, file: str) -> list[str]:
    """The ``sys.path`` entries of a plug-in."""
    for statement in ast.parse(source, file).body:
        if isinstance(statement, ast.Assign):
            if ast.unparse(statement.targets[0]) == "sys.path[0:0]":
                return [str(entry) for entry in ast.literal_eval(statement.value)]
            break
    raise ValueError(f"the first assignment of {file} is not sys.path[0:0] = [...]")


def load_promise(file: str, config: dict[str, Any]) -> Any:
    """Import the plug-in and make its promise."""
    sys.path[0:0] = plugin_path(Path(file).read_text(encoding="utf-8"), file)
    name = Path(file).stem
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None, file
    assert spec.loader is not None, file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    extra = getattr(module, "extra_config_dict", {})
    taken = sorted(set(extra) & set(config))
    if taken:
        raise ValueError(f"extra_config_dict uses reserved names: {', '.join(taken)}")
    return module.RunPromise({**config, **extra, "queue": ResultQueue()})


def _answer(promise: Any, method: str, default: Any) -> Any:
    return getattr(promise, method)() if hasattr(promise, method) else default


def has_failed(judged: Any) -> bool:
    """Whether a result is a failure; stock results answer by a method."""
    if hasattr(judged, "hasFailed"):
        return bool(judged.hasFailed())
    return bool(judged.problem)


def run_promise(file: str, config: dict[str, Any], *, is_anomaly: bool) -> Any:
    """Sense and judge; whatever is raised is the message of a failure."""
    result: dict[str, Any] = {
        "type": "Anomaly Result" if is_anomaly else "Test Result",
        "periodicity": 2,
        "is_tested": True,
        "is_anomaly_detected": True,
    }
    try:
        promise = load_promise(file, config)
        result["is_tested"] = _answer(promise, "isTested", default=True)
        result["is_anomaly_detected"] = _answer(
            promise, "isAnomalyDetected", default=True
        )
        result["periodicity"] = _answer(promise, "getPeriodicity", 2)
        kind = "is_anomaly_detected" if is_anomaly else "is_tested"
        if not result[kind]:
            return {**result, "failed": False, "message": ""}
        try:
            promise.sense()
        except Exception:
            if hasattr(promise, "logger"):
                promise.logger.exception("sense failed")
            raise
        judged = promise.anomaly() if is_anomaly else promise.test()
        is_failed = has_failed(judged)
        message = str(judged.message)
    except BaseException:  # noqa: BLE001 - also SystemExit is a failure to report
        is_failed, message = True, traceback.format_exc()
    return {
        **result,
        "failed": is_failed,
        "message": message[-MESSAGE_CHARACTERS_MAX:],
    }


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    settings = json.loads(sys.argv[3])
    outcome = run_promise(
        sys.argv[1], settings, is_anomaly=bool(settings.pop("check-anomaly", False))
    )
    print(f"\n{sys.argv[2]}{json.dumps(outcome)}", flush=True)  # noqa: T201 - its result
