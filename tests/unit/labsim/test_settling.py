"""Since when each thing is as it is wanted, look after look."""

from __future__ import annotations

from labsim.history import Ending
from labsim.run import since_settled


def test_what_is_as_wanted_is_so_since_the_first_look_in_a_row() -> None:
    looks = (
        (Ending(10.0, "a", "on", "on"), Ending(10.0, "b", "on", "")),
        (Ending(70.0, "a", "on", "on"), Ending(70.0, "b", "on", "on")),
        (Ending(130.0, "a", "on", "on"), Ending(130.0, "b", "on", "on")),
    )

    assert settled_after(looks) == {"a": 10.0, "b": 70.0}


def test_what_went_wrong_or_is_wanted_otherwise_meanwhile_settles_anew() -> None:
    looks = (
        (Ending(10.0, "a", "on", "on"), Ending(10.0, "b", "on", "on")),
        (Ending(70.0, "a", "on", ""), Ending(70.0, "b", "off", "off")),
        (Ending(130.0, "a", "on", "on"), Ending(130.0, "b", "off", "off")),
    )

    assert settled_after(looks[:2]) == {"b": 70.0}
    assert settled_after(looks) == {"a": 130.0, "b": 70.0}


def settled_after(looks: tuple[tuple[Ending, ...], ...]) -> dict[str, float]:
    settled: dict[str, Ending] = {}
    for endings in looks:
        settled = since_settled(settled, endings)
    return {subject: it.at for subject, it in settled.items()}
