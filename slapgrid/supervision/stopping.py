"""Core. How long programs may take to end."""

from __future__ import annotations

from slapgrid.supervision.conf import STOP_SECONDS_MAX

#: SIGKILL comes after STOP_SECONDS_MAX; what is left then does not end at all.
STOPPING_SECONDS_MAX = STOP_SECONDS_MAX + 15.0
STOPPING_POLL_SECONDS = 0.2
