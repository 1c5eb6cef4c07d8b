"""What a master counts of itself."""

from __future__ import annotations

from master_cluster.measuring import OTHER, SERIES_MAX, Measures, counter, histogram


def test_a_counter_has_a_line_for_each_combination_of_labels() -> None:
    counted = counter("calls_total", "Calls.", "method", "status")

    counted.add("b", "200")
    counted.add("a", "404")
    counted.add("a", "404", amount=2)

    assert list(counted.lines()) == [
        "# HELP calls_total Calls.",
        "# TYPE calls_total counter",
        'calls_total{method="a",status="404"} 3',
        'calls_total{method="b",status="200"} 1',
    ]


def test_a_counter_without_labels_begins_at_zero() -> None:
    counted = counter("commits_total", "Commits.")

    assert list(counted.lines())[2:] == ["commits_total 0"]


def test_a_label_cannot_end_its_quotes() -> None:
    counted = counter("calls_total", "Calls.", "method")

    counted.add('a"b\\c\nd')

    assert list(counted.lines())[2:] == [r'calls_total{method="a\"b\\c\nd"} 1']


def test_buckets_of_a_histogram_hold_all_that_is_shorter() -> None:
    measured = histogram("seconds", "Durations.", "method")
    measured.bounds = (0.1, 1)

    for seconds in (0.0625, 0.5, 1, 2.5):
        measured.observe(seconds, "a")

    assert list(measured.lines())[2:] == [
        'seconds_bucket{method="a",le="0.1"} 1',
        'seconds_bucket{method="a",le="1"} 3',
        'seconds_bucket{method="a",le="+Inf"} 4',
        'seconds_sum{method="a"} 4.0625',
        'seconds_count{method="a"} 4',
    ]


def test_labels_beyond_the_limit_are_one_series() -> None:
    counted = counter("calls_total", "Calls.", "method")

    for number in range(SERIES_MAX + 50):
        counted.add(f"method{number}")

    assert counted.value(OTHER) == 50


def test_a_gauge_is_read_when_the_text_is_and_left_out_when_unknown() -> None:
    measures = Measures()
    level: list[float | None] = [3]
    measures.watch("connections", "Open now.", lambda: level[0])

    first = measures.render()
    level[0] = None
    second = measures.render()

    assert "# TYPE connections gauge\nconnections 3\n" in first
    assert "connections" not in second


def test_the_reference_names_every_measure_once() -> None:
    measures = Measures()
    measures.watch("connections", "Open now.", lambda: 1)

    names = [it.name for it in measures.reference()]

    assert names == sorted(set(names), key=names.index)
    assert {"slapcluster_calls_total", "connections"} <= set(names)
