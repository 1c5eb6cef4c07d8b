"""Core. What is measured, in which unit, and under which name the master hears of it.

An amount adds up; a level is averaged over the time for which it was known. The first
three resources are those of stock nodes, with their units; the others are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from attrs import frozen

_MEBIBYTE = 2**20


class Measure(StrEnum):
    """What is known of a partition or of the computer."""

    CPU_SECONDS = "cpu_seconds"
    READ_BYTES = "read_bytes"
    WRITTEN_BYTES = "written_bytes"
    RECEIVED_BYTES = "received_bytes"
    SENT_BYTES = "sent_bytes"
    MEMORY_BYTES = "memory_bytes"
    SWAP_BYTES = "swap_bytes"
    DISK_BYTES = "disk_bytes"
    PROCESSES = "processes"
    THREADS = "threads"
    PROCESSORS = "processors"
    LOAD = "load"
    CELSIUS = "celsius"
    PROGRAMS_RESTARTED = "programs_restarted"
    PROMISES_FAILED = "promises_failed"
    BANGS = "bangs"
    OUT_OF_MEMORY_KILLS = "out_of_memory_kills"


LEVELS = frozenset(
    {
        Measure.MEMORY_BYTES,
        Measure.SWAP_BYTES,
        Measure.DISK_BYTES,
        Measure.PROCESSES,
        Measure.THREADS,
        Measure.PROCESSORS,
        Measure.LOAD,
        Measure.CELSIUS,
    }
)
INCIDENTS = frozenset(
    {
        Measure.PROGRAMS_RESTARTED,
        Measure.PROMISES_FAILED,
        Measure.BANGS,
        Measure.OUT_OF_MEMORY_KILLS,
    }
)


@frozen
class Resource:
    """How the master hears of a measure: so many of a unit are one of the resource."""

    name: str
    title: str
    unit: float = 1
    unit_of_computer: float = 1


RESOURCES: Mapping[Measure, Resource] = MappingProxyType(
    {
        # Stock nodes give the memory of a computer in bytes, of a partition in MB.
        Measure.MEMORY_BYTES: Resource("memory_used", "Memory used", _MEBIBYTE),
        Measure.DISK_BYTES: Resource("disk_used", "Disk used", _MEBIBYTE, _MEBIBYTE),
        Measure.CPU_SECONDS: Resource("cpu_time", "Seconds of CPU"),
        Measure.READ_BYTES: Resource("storage_read", "Bytes read"),
        Measure.WRITTEN_BYTES: Resource("storage_written", "Bytes written"),
        Measure.RECEIVED_BYTES: Resource("network_received", "Bytes received"),
        Measure.SENT_BYTES: Resource("network_sent", "Bytes sent"),
        Measure.PROCESSES: Resource("process_count", "Processes"),
        Measure.PROGRAMS_RESTARTED: Resource(
            "program_restart", "Programs that ended and were started again"
        ),
        Measure.PROMISES_FAILED: Resource("promise_failure", "Promises not kept"),
        Measure.BANGS: Resource("bang", "Bangs"),
        Measure.OUT_OF_MEMORY_KILLS: Resource(
            "out_of_memory_kill", "Processes killed for want of memory"
        ),
    }
)
"""What a daily document tells, in this order, after ``CPU_LOAD``."""

CPU_LOAD = Resource("cpu_load_percent", "CPU load in percent")
"""Follows from the seconds of CPU.

As with stock nodes, 100 is one processor all the time for a partition, and all of them
for the computer.
"""
