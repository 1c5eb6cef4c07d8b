"""The OpenAPI surface under schemathesis, which draws calls from its description."""

from __future__ import annotations

from pathlib import Path

from benchmarks.rivals import HOST, our_master
from slap import calls
from tests import programs
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.interop.stock import fuzz_environment

FUZZ_SECONDS_MAX = 240

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)


def test_no_drawn_call_breaks_its_description(tmp_path: Path) -> None:
    """Every answer is one that the description names, and a wrong call is refused."""
    schemathesis = fuzz_environment() / "schemathesis"
    with our_master(tmp_path) as ours:
        line = ours.line()
        line.perform(calls.define_computer(a_computer_definition(3)))
        line.perform(calls.request_instance(an_instance_request(title="root")))
        argv = [
            str(schemathesis),
            "run",
            f"http://{HOST}:{ours.port}/openapi.json",
            f"--checks={','.join(CHECKS)}",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=3",
            "--continue-on-failure",
            "--seed=1",
        ]
        done = programs.run(argv, timeout_seconds=FUZZ_SECONDS_MAX, directory=tmp_path)

        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        line.perform(calls.get_computer(COMPUTER_ID))
        line.close()
