"""Who gets a certificate, and what it costs: the store's side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred, gatherResults

from master_cluster.answering.certificates import CertificateAnswers
from master_cluster.answering.desk import Desk
from master_cluster.certificates import RENEWAL_DAYS, VALID_DAYS
from master_cluster.provisioning import (
    PERSON_CERTIFICATE_COUNT_MAX,
    TOKEN_COUNT_MAX,
    TOKEN_SECONDS,
    Purpose,
    hash_token,
    next_computer_id,
)
from master_cluster.store.cloud import Cloud
from master_cluster.store.provisioning import EMPTY, STILL_ACTIVE
from master_cluster.store.schema import StoredCloud
from slap.errors import BadRequest, Forbidden, NotFound
from slap.model import Certificate, PartitionKey, RequestedState
from tests.builders import COMPUTER_ID, a_partition_key
from tests.unit.master_cluster.benches import StoreBench

DAY = 24 * 3600.0


class Office(StoreBench):
    """A store with three partitions, and who issues certificates from it."""

    def __init__(self) -> None:
        super().__init__()
        self.format()
        self.answers = CertificateAnswers(Desk(self.store, self.runtime, None))

    def of(self, key: PartitionKey) -> Certificate:
        return self.world.result(self.answers.certificate_of_partition(key))

    def issue(self, computer_id: str = COMPUTER_ID) -> Certificate:
        return self.world.result(self.answers.issue_computer_certificate(computer_id))

    def revoke(self, computer_id: str = COMPUTER_ID) -> None:
        self.world.result(self.answers.revoke_computer_certificate(computer_id))

    def token(self, purpose: Purpose = Purpose.COMPUTER) -> str:
        return self.world.result(self.answers.give_token(purpose))

    def register(self, token: str, title: str = "attic") -> Certificate:
        return self.world.result(self.answers.register_computer(token, title))

    def pass_days(self, days: float) -> None:
        self.host.calendar.step(days * DAY)

    def destroy(self, key: PartitionKey, title: str = "root") -> None:
        self.request(title, requested_state=RequestedState.DESTROYED)
        assert self.report_destroyed(key) == "OK"


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


def test_an_instance_has_one_certificate_however_often_it_asks(office: Office) -> None:
    key = office.request().key

    answers = {office.of(key) for _ in range(3)}

    assert len(answers) == 1


def test_instances_have_certificates_of_their_own_by_one_authority(
    office: Office,
) -> None:
    first, second = office.request("first"), office.request("second")

    texts = [office.of(it.key).certificate for it in (first, second)]

    assert [
        f"CN={it.instance_guid}/" in text
        for it, text in zip((first, second), texts, strict=True)
    ] == [True, True]
    assert office.ask(lambda it: it.certificates.authority()) is not None


def test_many_who_ask_at_once_get_one_certificate_and_one_authority(
    office: Office,
) -> None:
    key = office.request().key
    asking = [
        Deferred.fromCoroutine(office.answers.certificate_of_partition(key))
        for _ in range(8)
    ]

    answers = office.world.result(gatherResults(asking))

    assert len(set(answers)) == 1


def test_a_free_partition_has_an_empty_certificate(office: Office) -> None:
    assert office.of(a_partition_key(2)) == EMPTY


def test_a_partition_that_is_not_defined_is_not_found(office: Office) -> None:
    with pytest.raises(NotFound):
        office.of(a_partition_key(99))


def test_a_shared_instance_has_no_certificate(office: Office) -> None:
    office.request("host")
    guest = office.request("guest", is_shared=True)
    assert guest.instance_guid is not None

    with pytest.raises(NotFound, match="of its own"):
        office.world.result(office.answers.certificate_of_instance(guest.instance_guid))


def test_a_certificate_is_renewed_before_it_ends(office: Office) -> None:
    key = office.request().key
    first = office.of(key)

    office.pass_days(VALID_DAYS - RENEWAL_DAYS - 2)
    meanwhile = office.of(key)
    office.pass_days(2)
    renewed = office.of(key)

    assert meanwhile == first
    assert renewed.certificate != first.certificate
    assert office.of(key) == renewed


def test_the_certificate_of_a_removed_instance_is_revoked_and_forgotten(
    office: Office,
) -> None:
    requested = office.request()
    office.of(requested.key)
    guid = str(requested.instance_guid)
    issued = office.ask(lambda it: it.certificates.of_instance(guid))
    assert issued is not None

    office.destroy(requested.key)

    assert office.of(requested.key) == EMPTY
    assert office.ask(lambda it: it.certificates.of_instance(guid)) is None
    assert office.ask(lambda it: it.certificates.is_revoked(issued))


def test_the_next_instance_of_a_partition_has_another_certificate(
    office: Office,
) -> None:
    key = office.request().key
    first = office.of(key)
    office.destroy(key)

    again = office.request().key

    assert again == key
    assert office.of(again) != first


def test_a_certificate_that_is_made_while_its_instance_goes_leaves_nothing(
    office: Office,
) -> None:
    requested = office.request()
    office.request(requested_state=RequestedState.DESTROYED)
    guid = str(requested.instance_guid)

    asking = Deferred.fromCoroutine(office.answers.certificate_of_instance(guid))
    asking.addErrback(lambda failure: failure.trap(NotFound))
    office.report_destroyed(requested.key)
    office.world.result(asking)

    assert office.ask(lambda it: it.certificates.of_instance(guid)) is None


def test_a_computer_has_one_active_certificate(office: Office) -> None:
    first = office.issue()
    with pytest.raises(BadRequest, match=STILL_ACTIVE):
        office.issue()

    office.revoke()
    second = office.issue()

    assert first.certificate.startswith("Certificate:")
    assert second.key != first.key


def test_the_key_of_a_computer_is_told_once_and_not_kept(office: Office) -> None:
    office.issue()

    kept = office.ask(lambda it: it.certificates.of_computer(COMPUTER_ID))

    assert kept is not None
    assert kept.key == ""


def test_a_computer_whose_certificate_has_ended_gets_another(office: Office) -> None:
    first = office.issue()
    office.pass_days(VALID_DAYS)

    with pytest.raises(NotFound, match="has no certificate"):
        office.revoke()
    assert office.issue() != first


def test_what_has_ended_is_not_kept_as_revoked(office: Office) -> None:
    office.issue()
    issued = office.ask(lambda it: it.certificates.of_computer(COMPUTER_ID))
    assert issued is not None
    office.revoke()
    before = office.ask(lambda it: it.certificates.is_revoked(issued))

    office.pass_days(VALID_DAYS + 1)
    office.issue()

    after = office.ask(lambda it: it.certificates.is_revoked(issued))
    assert (before, after) == (True, False)


def test_a_token_makes_a_computer_once(office: Office) -> None:
    token = office.token()

    certificate = office.register(token)

    assert "CN=COMP-2/emailAddress=" in certificate.certificate
    assert office.ask(lambda it: it.certificates.title("COMP-2")) == "attic"
    with pytest.raises(Forbidden, match="used already"):
        office.register(token, "cellar")


def test_a_token_used_twice_at_once_makes_one_computer(office: Office) -> None:
    token = office.token()
    outcomes: list[object] = []
    for title in ("attic", "cellar"):
        coming = Deferred.fromCoroutine(office.answers.register_computer(token, title))
        coming.addBoth(outcomes.append)

    office.world.run_until(lambda: len(outcomes) == 2)

    assert sum(isinstance(it, Certificate) for it in outcomes) == 1
    assert len(office.ask(lambda it: it.computer_ids())) == 2


def test_two_computers_that_come_at_once_have_two_names(office: Office) -> None:
    coming = [
        Deferred.fromCoroutine(office.answers.register_computer(office.token(), title))
        for title in ("attic", "cellar")
    ]

    certificates = office.world.result(gatherResults(coming))

    assert len({it.certificate.partition("/email")[0] for it in certificates}) == 2
    assert len(office.ask(lambda it: it.computer_ids())) == 3


def test_a_refused_registration_leaves_the_token_good(office: Office) -> None:
    office.register(office.token(), "attic")
    token = office.token()

    with pytest.raises(BadRequest, match=STILL_ACTIVE):
        office.register(token, "attic")

    assert office.register(token, "cellar").key


def test_a_revoked_computer_registers_under_its_old_name(office: Office) -> None:
    first = office.register(office.token(), "attic")
    office.revoke("COMP-2")

    again = office.register(office.token(), "attic")

    assert "CN=COMP-2/" in again.certificate
    assert again != first


@pytest.mark.parametrize("token", ["", "x", "x" * 300, "\udcff"])
def test_a_token_that_was_never_given_is_forbidden(office: Office, token: str) -> None:
    with pytest.raises(Forbidden):
        office.register(token)


def test_a_token_of_another_purpose_is_forbidden_and_stays_good(
    office: Office,
) -> None:
    token = office.token(Purpose.PERSON)
    with pytest.raises(Forbidden):
        office.register(token)

    certificate = office.world.result(office.answers.register_person(token))

    assert "CN=PERS-1/" in certificate.certificate


def test_no_more_than_so_many_certificates_of_persons_are_active(
    office: Office,
) -> None:
    def register() -> None:
        token = office.token(Purpose.PERSON)
        office.world.result(office.answers.register_person(token))

    for _ in range(PERSON_CERTIFICATE_COUNT_MAX):
        register()
    with pytest.raises(BadRequest, match="are active"):
        register()
    office.pass_days(VALID_DAYS)
    for _ in range(2):
        register()

    kept = office.ask(lambda it: it.certificates.person_count())
    assert kept < PERSON_CERTIFICATE_COUNT_MAX


def test_a_store_of_an_older_version_is_completed() -> None:
    """Here one that knows nothing of certificates."""
    older = StoredCloud()
    del older.certificates

    older.complete()

    assert Cloud(older).certificates.authority() is None


def test_a_token_expires(office: Office) -> None:
    token = office.token()

    office.pass_days(TOKEN_SECONDS / DAY)

    with pytest.raises(Forbidden, match="too old"):
        office.register(token)


def test_expired_tokens_are_forgotten(office: Office) -> None:
    token_hash = hash_token(office.token())
    office.pass_days(TOKEN_SECONDS / DAY + 1)

    office.token()

    assert office.ask(lambda it: it.certificates.token(token_hash)) is None


def test_no_more_than_so_many_tokens_wait(office: Office) -> None:
    first = office.token()
    office.world.run_for(1)
    for _ in range(TOKEN_COUNT_MAX):
        office.token()

    with pytest.raises(Forbidden):
        office.register(first)


def test_no_token_is_kept_as_it_was_told(office: Office) -> None:
    token = office.token()

    kept = office.ask(lambda it: it.certificates.token(token))

    assert kept is None


def test_a_computer_without_a_title_is_refused(office: Office) -> None:
    with pytest.raises(BadRequest, match="title"):
        office.register(office.token(), " ")


def test_names_of_computers_follow_the_last_number() -> None:
    assert [
        next_computer_id(it)
        for it in ((), ("local",), ("COMP-9", "COMP-10", "COMP-x", "COMP-"))
    ] == ["COMP-1", "COMP-1", "COMP-11"]
