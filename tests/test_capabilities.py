"""The closing line of a test run."""

from __future__ import annotations

from tests.capabilities import REFUSED, describe_refusals


def test_a_run_without_refusals_says_zero() -> None:
    assert describe_refusals(["Skipped: slow"]) == "tests that this machine refuses: 0"


def test_refusals_are_counted_by_cause() -> None:
    reasons = [f"Skipped: {REFUSED}namespaces"] * 2 + [f"Skipped: {REFUSED}IPv6"]

    assert describe_refusals(reasons) == (
        "tests that this machine refuses: 3 (1 for IPv6, 2 for namespaces)"
    )
