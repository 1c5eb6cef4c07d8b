"""Core. Where things stand on disk: the conventions that stock tools also rely on.

Paths are relative to the software root or to the instance root, unless named
``*_path``. Files of a partition are relative to the partition.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

#: Exactly this, else instances could read each other.
PARTITION_MODE = 0o750

#: Buildout as the partition's user reads it; its group is the partition's.
BUILDOUT_CFG = "buildout.cfg"

RESOURCE_FILE = ".slapos-resource"
TIMESTAMP_FILE = ".timestamp"
#: The deployment that the master was last asked to process again.
BANG_FILE = ".slapos_latest_bang_timestamp"
AGENT_DIRECTORY = ".slapgrid"
RELEASE_LINK = "software_release"
RETENTION_DELAY_FILE = ".slapos-retention-lock-delay"
RETENTION_DATE_FILE = ".slapos-retention-lock-date"
WAIT_LIST_FILE = ".slapos-report-wait-service-list"
DESTROY_SCRIPT = "sbin/destroy"
PORT_REDIRECTION_FILE = ".slapos-port-redirect"
WHITELIST_FILE = ".slapos-whitelist-firewall"
RUN_DIRECTORY = "etc/run"
SERVICE_DIRECTORY = "etc/service"
REMOVAL_DIRECTORY = "etc/prerm"
PROMISE_DIRECTORY = "etc/promise"
PLUGIN_DIRECTORY = "etc/plugin"
PROMISE_STATE_DIRECTORY = ".slapgrid/promise"
REPORT_DIRECTORY = "etc/report"
PROMISE_CACHE_DIRECTORY = ".slapgrid/promise/cache"
PROMISE_LOG_DIRECTORY = ".slapgrid/promise/log"
PROMISE_RESULT_DIRECTORY = ".slapgrid/promise/result"
INSTANCE_LOG = ".slapgrid/log/instance.log"
#: A copy of what the agent knows masters by, which its user alone may read elsewhere.
ROOTS_COPY = ".slapgrid/root.crt"

#: In a release: present once it is built and the master knows.
COMPLETED_FILE = ".completed"
PERIODICITY_FILE = "periodicity"
#: A release with shared parts is no use elsewhere.
SHARED_FILE = ".shared"
#: In a release: it is to be sent to the binary cache.
UPLOAD_FILE = ".slapgrid-upload"
#: A copy of the software user's, for builds from private sources.
NETRC_FILE = ".netrc"
#: Present while no wanted document names the release: how long that is so.
ABSENCE_FILE = ".slapgrid-unsupplied"
#: In this order: the second is the name of older releases.
INSTANCE_TEMPLATES = ("instance.cfg", "template.cfg")
BUILDOUT_SCRIPT = "bin/buildout"

#: In the instance root.
SUPERVISORD_CONF = "etc/supervisord.conf"
GROUP_DIRECTORY = "etc/supervisord.conf.d"
SUPERVISORD_LOG = "var/log/supervisord.log"
WATCHDOG_LOG = "var/log/watchdog.log"
SUPERVISORD_PID = "var/run/supervisord.pid"
SUPERVISORD_SOCKET = "sv.sock"
#: The name before that one: where it is there, it is used.
SUPERVISORD_SOCKET_OF_OLD = "supervisord.socket"
RETRY_MEMORY = "var/slapgrid/retry-memory.json"
#: What was seen of which masters: see ``slap.freshness``.
FRESHNESS_FILE = "var/slapgrid/seen.json"
BOOT_FILE = "var/slapgrid/boot-id"
LAST_PASSES = "var/slapgrid/passes.json"
LOCK_FILE = "var/slapgrid/lock"
#: Usage: what is open, what went wrong, days that are over.
USAGE_DIRECTORY = "var/slapgrid/usage"
USAGE_LEDGER = "var/slapgrid/usage/ledger.json"
USAGE_INCIDENTS = "var/slapgrid/usage/incidents.json"
USAGE_DAYS = "var/slapgrid/usage/days"
#: Usage documents on their way to the master.
USAGE_CLAIMS = "var/slapgrid/usage/claims"
USAGE_OUTGOING = "var/slapgrid/usage/outgoing"
USAGE_REFUSED = "var/slapgrid/usage/refused"
USAGE_REPORTED = "var/slapgrid/usage/reported"
#: In the instance root and in a partition: reports that wait for the agent.
XML_REPORT_DIRECTORY = "var/xml_report"
RULESET_FILE = "var/slapgrid/firewall.nft"
TREE_ADDRESSES_FILE = "var/slapgrid/tree-addresses.json"
#: A file for each partition whose end of a service the master has not heard of.
BANG_SPOOL = "var/slapgrid/bangs"
BUILD_LOG_DIRECTORY = "var/log/software"


#: A partition's groups beside that of its programs are named ``<partition_id>-...``.
REMOVAL_SUFFIX = "prerm"
REDIRECTION_SUFFIX = "socat"
SIDE_SUFFIXES = frozenset({REMOVAL_SUFFIX, REDIRECTION_SUFFIX})


class ProgramKind(StrEnum):
    """The directory of a partition that a program stands in."""

    RUN = RUN_DIRECTORY
    SERVICE = SERVICE_DIRECTORY
    #: Run once, when the instance is destroyed, in a group of their own.
    REMOVAL = REMOVAL_DIRECTORY


#: The kinds of programs that an instance runs while it is started.
INSTANCE_KINDS = (ProgramKind.RUN, ProgramKind.SERVICE)


def release_directory(software_release_url: str) -> str:
    """The directory of a release in the software root."""
    digest = hashlib.md5(software_release_url.encode(), usedforsecurity=False)
    return digest.hexdigest()


def error_log(partition_id: str) -> str:
    """The file of a partition that says why it could not be processed."""
    return f".slapgrid-{partition_id}-error.log"


def program_log(partition_id: str, program: str) -> str:
    """The file of a partition that holds what a program writes."""
    return f".{partition_id}_{program}.log"


def transaction_file(partition_id: str) -> str:
    """Where the stock client library notes what an instance requested."""
    return f".slapos-request-transaction-{partition_id}"


def group_file(partition_id: str) -> str:
    """The definition of a partition's programs; without it they are stopped."""
    return f"{GROUP_DIRECTORY}/{partition_id}.conf"


def removal_group(partition_id: str) -> str:
    """The group of the programs that run when an instance is destroyed."""
    return f"{partition_id}-{REMOVAL_SUFFIX}"


def redirection_group(partition_id: str) -> str:
    """The group of the programs that lead ports of the computer to an instance."""
    return f"{partition_id}-{REDIRECTION_SUFFIX}"


def departure_file(partition_id: str) -> str:
    """In the instance root: what was done of the departure of an instance."""
    return f"var/slapgrid/departures/{partition_id}.json"


def build_log(software_release_url: str) -> str:
    """The whole output of the last build of a release."""
    return f"{BUILD_LOG_DIRECTORY}/{release_directory(software_release_url)}.log"


def sealed_day(date: str) -> str:
    """What was consumed on a day that is over; the newest days are kept."""
    return f"{USAGE_DAYS}/{date}.json"


def journal_directory(computer_id: str) -> str:
    """Where documents of the computer wait that are sent as they are."""
    return f"{XML_REPORT_DIRECTORY}/{computer_id}"
