from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from master_cluster.timestamps import next_timestamp


def test_a_timestamp_counts_microseconds() -> None:
    assert next_timestamp(1795217576.05, "") == "1795217576050000"


@given(st.floats(0, 1e10), st.lists(st.integers(0, 10**16).map(str)))
def test_a_timestamp_is_later_than_any_before_whatever_the_calendar_says(
    now: float, previous: list[str]
) -> None:
    following = int(next_timestamp(now, *previous))

    assert all(following > int(it) for it in previous)
    assert following >= int(now * 1_000_000)
