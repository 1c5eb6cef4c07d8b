"""Shell. The reports from before the last one, of an instance or an installation."""

from __future__ import annotations

from master_cluster.records import Report
from master_cluster.reporting import remembered
from master_cluster.store.schema import Stored, StoredReports, fields_of, record_of


def remember_report(stored: Stored, old: Report, new: Report) -> None:
    """Keep the old report when there is a new one."""
    if old == new or old.reported_at is None:
        return
    if stored.reports is None:
        stored.reports = StoredReports()
    kept = remembered((old, *earlier_reports(stored)))
    stored.reports.earlier = tuple(dict(fields_of(it)) for it in kept)


def earlier_reports(stored: Stored) -> tuple[Report, ...]:
    """Return the reports from before the last one, the latest first."""
    if stored.reports is None:
        return ()
    return tuple(record_of(Report, it) for it in stored.reports.earlier)
