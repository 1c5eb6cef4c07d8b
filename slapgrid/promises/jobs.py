"""Core. What the runner of a partition's promises is asked, and what it answers.

A job is promises of one partition, run one after the other by one process. A promise
that takes the process along is the first without an answer: the rest, with it in front
and the reason of its death, is the next job. Each job ends at least one promise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

from attrs import evolve, field, frozen

from slapgrid.convergence.views import describe_failure
from slapgrid.promises.records import PromiseFile

#: As stock nodes: for starting, loading and writing.
JOB_GRACE_SECONDS = 10.0
#: The messages of some hundred promises; one that floods loses its own alone.
ANSWER_BYTES_MAX = 4 * 1024 * 1024


class PromiseMode(StrEnum):
    """How promises are asked, by the type of the result on disk.

    A test asks whether a deployment works; an anomaly check, at unchanged timestamp,
    whether what worked works still, and bears what the promise says it bears.
    """

    TEST = "Test Result"
    ANOMALY = "Anomaly Result"


@frozen
class WantedPromise:
    """A promise to run; with a ``death``, one that gave no answer, to be kept so.

    ``sys_path`` is what a plug-in begins with, ``None`` if it begins otherwise.
    """

    file: PromiseFile
    death: str = ""
    sys_path: tuple[str, ...] | None = ()


@frozen
class PromiseJob:
    """Promises of one partition. ``settings`` are what stock promises expect."""

    partition_directory: str
    mode: PromiseMode
    timeout_seconds: float
    promises: tuple[WantedPromise, ...]
    settings: Mapping[str, object] = field(factory=dict)

    @property
    def seconds_max(self) -> float:
        """After this the runner itself hangs."""
        return self.timeout_seconds * len(self.promises) + JOB_GRACE_SECONDS


@frozen
class PromiseRun:
    """What came of a promise; ``unkept`` says why its files could not be written."""

    title: str
    is_failed: bool
    message: str = ""
    unkept: str = ""

    @property
    def failure(self) -> str | None:
        """The sentence that is reported, ``None`` when the promise holds."""
        return describe_failure(self.title, self.message) if self.is_failed else None


def describe_timeout(seconds: float, stack: str = "") -> str:
    """As stock nodes say it, then where the promise was."""
    sentence = f"Error: Promise timed out after {seconds:g} seconds"
    return f"{sentence}\n{stack.strip()}" if stack else sentence


def encode_job(job: PromiseJob) -> str:
    """The job as the argument of the runner."""
    # One release has one path, a page of text; it is there once.
    paths = list(dict.fromkeys(each.sys_path for each in job.promises))
    return json.dumps(
        {
            "partition": job.partition_directory,
            "kind": str(job.mode),
            "timeout": job.timeout_seconds,
            "settings": dict(job.settings),
            "paths": paths,
            "promises": [
                {
                    "name": each.file.name,
                    "title": each.file.title,
                    "path": f"{job.partition_directory}/{each.file.path}",
                    "is_plugin": each.file.is_plugin,
                    "death": each.death,
                    "path_number": paths.index(each.sys_path),
                }
                for each in job.promises
            ],
        }
    )


@frozen
class Answered:
    """What a runner said: results in order, and what it was doing at its end."""

    runs: tuple[PromiseRun, ...]
    last_words: str = ""
    stack: str | None = None


def decode_answers(output: str, token: str) -> Answered:
    """Read what a runner printed; a line that is broken off is not there."""
    runs: list[PromiseRun] = []
    last_words, stack = "", None
    before, *parts = output.split(token)
    last_words = before
    for part in parts:
        line, _, last_words = part.partition("\n")
        try:
            document = json.loads(line)
            if "timed_out" in document:
                stack = str(document["timed_out"])
                continue
            runs.append(
                PromiseRun(
                    str(document["title"]),
                    bool(document["failed"]),
                    str(document["message"]),
                    str(document["unkept"]),
                )
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            last_words = part
    return Answered(tuple(runs), last_words.strip(), stack)


def next_job(job: PromiseJob, answered: Answered, end: str) -> PromiseJob | None:
    """The promises without an answer; ``None`` when there are none.

    ``end`` says how the runner ended. The first promise that it did not answer is what
    it died of; if that was already the one to be kept as dead, it is given up.
    """
    titles = {run.title for run in answered.runs}
    rest = [each for each in job.promises if each.file.title not in titles]
    if rest and rest[0].death:
        del rest[0]
    if not rest:
        return None
    if answered.stack is not None:
        end = describe_timeout(job.timeout_seconds, answered.stack)
    elif answered.last_words:
        end = f"{answered.last_words}\n{end}"
    rest[0] = evolve(rest[0], death=f"Error: {end}" if "rror:" not in end else end)
    return evolve(job, promises=tuple(rest))
