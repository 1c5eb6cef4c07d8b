"""The log of a process."""

from __future__ import annotations

import json
import os
import threading  # noqa: TID251 - a reader, from outside

from attrs import frozen
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from runtime.logs import (
    REQUEST_ID,
    LineFile,
    LineObserver,
    LogLine,
    render_json,
    render_text,
)


@frozen
class FixedCalendar:
    def now(self) -> float:
        return 1795217576.25


A_LINE = LogLine(1795217576.25, "warn", "slapcluster", "the disk\nis full", "id-7")


def test_a_line_for_people_begins_with_its_time() -> None:
    assert render_text(A_LINE) == (
        "2026-11-20T23:32:56.250Z [slapcluster#warn] the disk\n\tis full (id-7)"
    )


def test_a_line_of_json_is_one_line_and_its_values_hide_nothing() -> None:
    line = LogLine(0, "info", "a", "told\n", values={"status": 200, "level": "x"})

    text = render_json(line)

    assert "\n" not in text
    assert json.loads(text) == {
        "time": "1970-01-01T00:00:00.000Z",
        "level": "info",
        "source": "a",
        "message": "told\n",
        "status": 200,
    }


def test_an_event_is_told_with_its_failure_and_the_id_of_its_context() -> None:
    lines: list[str] = []
    log = Logger(
        "slapcluster", observer=LineObserver(FixedCalendar(), render_json, lines.append)
    )
    token = REQUEST_ID.set("id-7")
    try:
        log.failure("incident {number}", Failure(ValueError("no")), number="9f")
    finally:
        REQUEST_ID.reset(token)

    document = json.loads(lines[0])
    traceback = document.pop("traceback")
    assert document == {
        "time": "2026-11-20T23:32:56.250Z",
        "level": LogLevel.critical.name,
        "source": "slapcluster",
        "message": "incident 9f",
        "number": "9f",
        "request_id": "id-7",
    }
    assert "ValueError: no" in traceback


def test_an_event_that_cannot_be_told_costs_its_line_and_no_more() -> None:
    lines: list[str] = []

    def fail(_: LogLine) -> str:
        raise ValueError

    Logger("a", observer=LineObserver(FixedCalendar(), fail, lines.append)).info("x")

    assert len(lines) == 1


def test_a_log_that_nobody_reads_never_waits_and_tells_its_losses() -> None:
    reading, writing = os.pipe()
    log = LineFile(writing)

    for number in range(20_000):
        log.write(f"line {number}")
    written = os.read(reading, 1 << 20).decode()
    log.write("after")
    later = os.read(reading, 1 << 20).decode()
    os.close(reading)
    os.close(writing)

    kept = written.count("line ")
    assert 0 < kept < 20_000
    assert later.endswith(" lines of the log were lost\nafter\n")


def test_a_log_whose_reader_is_gone_stops_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = LineFile(writing)

    log.write("one")
    log.write("two")

    os.close(writing)
    log.write("three")


def test_lines_of_threads_do_not_mix() -> None:
    reading, writing = os.pipe()
    log = LineFile(writing)
    received = bytearray()

    def read() -> None:
        while piece := os.read(reading, 65536):
            received.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    writers = [
        threading.Thread(target=lambda it=it: [log.write(it * 60) for _ in range(50)])
        for it in "abcd"
    ]
    for it in writers:
        it.start()
    for it in writers:
        it.join()
    os.close(writing)
    reader.join()
    os.close(reading)

    lines = [it for it in received.decode().splitlines() if "lost" not in it]
    assert set(lines) <= {it * 60 for it in "abcd"}
