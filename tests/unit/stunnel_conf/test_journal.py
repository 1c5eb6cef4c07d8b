"""What the log of stunnel 5.68 says, line by line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stunnel_conf.journal import REASON_COUNT_MAX, Journal, Live

STARTED = """\
2026.11.22 15:05:01 LOG5[ui]: stunnel 5.68 on x86_64-pc-linux-gnu platform
2026.11.22 15:05:01 LOG5[ui]: Reading configuration from file /srv/links/stunnel.conf
2026.11.22 15:05:01 LOG5[ui]: Configuration successful
"""

TAKEN = """\
2026.11.22 15:05:03 LOG5[0]: Service [export.web] accepted connection from ::1:53960
2026.11.22 15:05:03 LOG5[1]: Service [export.web] accepted connection from 192.0.2.1:7
2026.11.22 15:05:03 LOG5[0]: Certificate accepted at depth=0: CN=tokyo
2026.11.22 15:05:03 LOG5[0]: s_connect: connected 127.0.0.1:17001
"""

ENDED = """\
2026.11.22 15:05:04 LOG3[1]: SSL_accept: unexpected eof while reading
2026.11.22 15:05:04 LOG5[1]: Connection reset/closed: 0 byte(s) sent to TLS, 0 ...
2026.11.22 15:05:04 LOG5[0]: Connection closed: 2 byte(s) sent to TLS, 2 byte(s) ...
"""

REFUSED = """\
2026.11.22 15:06:01 LOG5[ui]: Reading configuration from file /srv/links/stunnel.conf
2026.11.22 15:06:01 LOG3[ui]: No trusted certificates found
2026.11.22 15:06:01 LOG3[ui]: Configuration failed
2026.11.22 15:06:01 LOG3[ui]: Failed to reload the configuration file
"""

NOT_BOUND = """\
2026.11.22 15:06:01 LOG5[ui]: Reading configuration from file /srv/links/stunnel.conf
2026.11.22 15:06:01 LOG5[ui]: Configuration successful
2026.11.22 15:06:01 LOG5[ui]: Binding service [two] to ::1:7: Address already in use
2026.11.22 15:06:01 LOG3[ui]: Binding service [two] failed
"""


def taken(*texts: str) -> Journal:
    journal = Journal()
    for text in texts:
        journal.take(text.splitlines())
    return journal


def test_it_knows_who_is_connected() -> None:
    journal = taken(STARTED, TAKEN)

    assert set(journal.live.values()) == {
        Live("export.web", "::1:53960", "CN=tokyo"),
        Live("export.web", "192.0.2.1:7"),
    }
    assert taken(STARTED, TAKEN, ENDED).live == {}
    assert taken(STARTED, TAKEN, STARTED).live == {}


def test_it_knows_whether_a_configuration_was_taken() -> None:
    started, refused = taken(STARTED), taken(STARTED, REFUSED)
    not_bound, again = taken(STARTED, NOT_BOUND), taken(REFUSED, STARTED)

    assert (started.reading_count, started.is_taken, started.reasons) == (1, True, [])
    assert (refused.reading_count, refused.is_taken) == (2, False)
    assert taken(STARTED, REFUSED.partition("LOG3")[0]).is_taken is None
    assert refused.reasons[0] == "No trusted certificates found"
    assert not_bound.is_taken is False
    assert not_bound.reasons == ["Binding service [two] failed"]
    assert (again.is_taken, again.reasons) == (True, [])


def test_a_failure_of_a_connection_is_none_of_the_configuration() -> None:
    assert taken(STARTED, ENDED).reasons == []


@given(
    st.lists(
        st.text(max_size=30) | st.sampled_from((STARTED + REFUSED + TAKEN).splitlines())
    )
)
def test_any_line_can_be_read(lines) -> None:
    journal = Journal()
    journal.take(lines)

    assert len(journal.reasons) <= REASON_COUNT_MAX
