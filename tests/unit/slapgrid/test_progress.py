"""How far a build is, from what buildout prints."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import Logger

from slapgrid.software.progress import (
    BuildProgress,
    ProgressLog,
    ProgressReader,
)

URL = "http://releases.example/software.cfg"
OUTPUT = b"""\
Getting distribution for 'tiny'.
Got tiny 1.0.
slapgrid: 3 parts
Updating openssl.
Installing server.
Installing collected packages: pip writes this
Getting distribution for 'big==2'.
  Installing nothing.
Installing instance.
"""
SENTENCES = [
    "Getting distribution for 'tiny'.",
    "Got tiny 1.0.",
    "part 1 of 3: openssl",
    "part 2 of 3: server",
    "part 2 of 3: server: Getting distribution for 'big==2'.",
    "part 3 of 3: instance",
]


@given(st.lists(st.integers(1, len(OUTPUT)), max_size=5).map(sorted))
def test_steps_are_counted_however_the_output_is_cut(cuts: list[int]) -> None:
    seen: list[BuildProgress] = []
    reader = ProgressReader(URL, seen.append)

    for begin, end in zip([0, *cuts], [*cuts, len(OUTPUT)], strict=True):
        reader.add(OUTPUT[begin:end])

    assert [each.sentence for each in seen if "nothing" not in each.step] == SENTENCES


def test_more_parts_than_were_counted_are_not_more_than_all() -> None:
    seen: list[BuildProgress] = []
    ProgressReader(URL, seen.append).add(
        b"slapgrid: 1 parts\nInstalling a.\nInstalling b.\n"
    )

    assert seen[-1].sentence == "part 2 of 2: b"


def test_a_line_without_end_is_bounded() -> None:
    reader = ProgressReader(URL, lambda _: None)
    for _ in range(100):
        reader.add(b"x" * 10_000)

    assert len(reader._rest) <= 2000  # noqa: SLF001 - what is kept is not seen else


def test_the_log_has_a_line_for_each_part_and_few_in_a_second() -> None:
    lines: list[str] = []
    clock = Clock()
    log = Logger(observer=lambda event: lines.append(event["sentence"]))
    shown = ProgressLog(clock, log)
    for number in range(1, 9):
        clock.advance(0.5)
        for step in range(3):
            progress = BuildProgress(
                URL,
                f"Installing p{number}.",
                number * 3 + step,
                f"p{number}",
                number,
                8,
            )
            shown.show(progress)

    assert lines == [f"part {number} of 8: p{number}" for number in (1, 3, 5, 7)]
