"""The simulated world: one clock, and hosts with networks, disks, programs and threads.

``World`` is the way in; production code meets it through ``Host.runtime``.
"""
