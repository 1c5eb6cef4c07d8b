from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from master_cluster.timestamps import microseconds_of, next_timestamp


def test_a_timestamp_counts_microseconds() -> None:
    assert next_timestamp(1795217576.05, "") == "1795217576050000"


@given(st.floats(0, 1e10), st.lists(st.integers(0, 10**16).map(str)))
def test_a_timestamp_is_later_than_any_before_whatever_the_calendar_says(
    now: float, previous: list[str]
) -> None:
    following = int(next_timestamp(now, *previous))

    assert all(following > int(it) for it in previous)
    assert following >= int(now * 1_000_000)


def test_a_timestamp_of_a_reference_proxy_counts_seconds() -> None:
    assert microseconds_of("1795217576.5") == 1_795_217_576_500_000
    assert next_timestamp(0.0, "1795217576.5") == "1795217576500001"
