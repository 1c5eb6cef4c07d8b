"""Who comes in by request: a whole master that has the authority of a region."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest
from twisted.internet.defer import Deferred, gatherResults

from master_cluster.authority.issuing import BY_HAND_DAYS, LEAF_DAYS, Region
from master_cluster.authority.region import RegionHome
from master_cluster.provisioning import TOKEN_SECONDS
from runtime.certificates import (
    check_chain,
    describe_first,
    key_digest,
    render_request,
    root_digest,
)
from runtime.holdings import Holding
from runtime.http_client import HttpClient, HttpReply
from runtime.identity_directory import IdentityDirectory
from runtime.renewing import LOOK_SECONDS
from slap import calls
from slap.admissions import Admission, read_token
from slap.calls import encode_call
from slap.errors import BadRequest, Forbidden, Unavailable
from slap.identities import Identity, Role, identity_of
from slap.model import Certificate, RequestedInstance
from slap.replicas import ListedReplica
from slap.reports import CloudReport
from tests.authorities import a_leaf, a_region, write_region
from tests.builders import (
    COMPUTER_ID,
    a_computer_definition,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import WebBench

DAY = 24 * 3600.0
HOME = "/srv/identity"
REPLICA = "https://[2001:db8::1]:5443"
REFUSED_TOKEN = "not known, used already or too old"


class Cloud(WebBench):
    """A master in a region, and a computer that wants to come in."""

    def __init__(self) -> None:
        super().__init__(
            identity_directory=HOME, announced=ListedReplica(REPLICA, "lyon")
        )
        self.keys = self.host.runtime.keys
        self.key = self.keys.new_private_key()
        self.tree = self.host.runtime.file_tree(HOME)
        self.region: Region = a_region(self.keys, self.now)
        write_region(self.tree, self.region)

    @property
    def now(self) -> float:
        return self.host.runtime.calendar.now()

    def pass_days(self, days: float) -> None:
        self.host.calendar.step(days * DAY)

    def token(self) -> str:
        token = self.perform(calls.get_token("computer"))
        assert isinstance(token, str)
        return token

    def join(self, token: str, key: str = "", title: str = "attic") -> Admission:
        request = render_request(key or self.key, title)
        admission = self.perform(calls.join(token, title, request))
        assert isinstance(admission, Admission)
        return admission

    def send_at_once(self, wanted: Sequence[calls.Call]) -> list[HttpReply]:
        client = HttpClient(self.host.runtime)
        sending = []
        for call in wanted:
            it = encode_call(call)
            url = f"http://127.0.0.1:{self.address.port}/{it.path}"
            exchange = client.send(
                it.verb, url, it.headers, it.body, timeout_seconds=60
            )
            sending.append(Deferred.fromCoroutine(exchange))
        replies: list[HttpReply] = self.world.result(gatherResults(sending))
        self.world.result(client.close())
        return replies

    def computer_count(self) -> int:
        report = self.perform(calls.get_cloud_report())
        assert isinstance(report, CloudReport)
        return len(report.computers)

    def renew(self, chain: str, key: str = "") -> str:
        request = render_request(key or self.key, "whoever")
        renewed = self.perform(calls.renew_certificate(chain, request))
        assert isinstance(renewed, str)
        return renewed


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.close()


def test_a_token_names_the_root_and_the_root_is_told_to_everybody(
    cloud: Cloud,
) -> None:
    token = read_token(cloud.token())

    roots = cloud.perform(calls.get_roots())

    assert isinstance(roots, str)
    assert roots == cloud.region.roots
    assert token.root_digest == root_digest(roots)
    assert token.secret not in repr(token)


def test_a_computer_comes_in_with_a_key_that_nobody_else_sees(cloud: Cloud) -> None:
    admission = cloud.join(cloud.token())

    assert admission.master_urls == (REPLICA,)
    said = check_chain(admission.certificate, admission.roots, cloud.now)
    assert identity_of(said.uris) == Identity(Role.COMPUTER, admission.computer_id)
    assert said.key_digest == key_digest(cloud.key)


def test_the_same_key_and_token_are_the_same_computer_with_the_same_certificate(
    cloud: Cloud,
) -> None:
    token = cloud.token()
    first = cloud.join(token)

    cloud.pass_days(0.5)

    assert cloud.join(token) == first
    assert cloud.join(token, title="cellar") == first


def test_another_key_cannot_use_a_used_token(cloud: Cloud) -> None:
    token = cloud.token()
    first = cloud.join(token)

    with pytest.raises(Forbidden, match=REFUSED_TOKEN):
        cloud.join(token, cloud.keys.new_private_key(), "cellar")

    assert cloud.join(token) == first


@pytest.mark.parametrize("token", ["", "unknown", "x" * 300, "a" * 64 + "-" + "b" * 64])
def test_a_token_that_is_none_is_refused(cloud: Cloud, token: str) -> None:
    with pytest.raises(Forbidden, match="token"):
        cloud.join(token)


def test_a_token_that_is_too_old_is_refused_to_its_user_too(cloud: Cloud) -> None:
    used, unused = cloud.token(), cloud.token()
    cloud.join(used)

    cloud.host.calendar.step(TOKEN_SECONDS)

    for token in (used, unused):
        with pytest.raises(Forbidden, match=REFUSED_TOKEN):
            cloud.join(token)


def test_of_two_keys_at_once_a_token_is_good_for_one(cloud: Cloud) -> None:
    token = cloud.token()
    keys = (cloud.key, cloud.key, cloud.keys.new_private_key())
    asked = [calls.join(token, "attic", render_request(it, "x")) for it in keys]

    replies = cloud.send_at_once(asked)

    winners = [it for it in replies if it.status == 200]
    assert {it.status for it in replies} == {200, 403}
    assert len({it.body for it in winners}) == 1
    assert cloud.computer_count() == 1


def test_an_odd_request_leaves_the_token_good(cloud: Cloud) -> None:
    token = cloud.token()

    with pytest.raises(BadRequest, match="not one request"):
        cloud.perform(calls.join(token, "attic", "odd"))
    with pytest.raises(BadRequest, match="title"):
        cloud.join(token, title=" ")

    assert cloud.join(token).computer_id


def test_the_computer_of_a_title_is_not_taken_over_by_another_key(
    cloud: Cloud,
) -> None:
    first, token = cloud.join(cloud.token()), cloud.token()
    other = cloud.keys.new_private_key()

    with pytest.raises(BadRequest, match="Another key has the one of 'attic'"):
        cloud.join(token, other)
    cloud.perform(calls.revoke_computer_certificate(first.computer_id))

    assert cloud.join(token, other).computer_id == first.computer_id
    with pytest.raises(Forbidden, match="was revoked or replaced"):
        cloud.renew(first.certificate)


def test_who_was_revoked_does_not_come_back_by_the_used_token(cloud: Cloud) -> None:
    token = cloud.token()
    first = cloud.join(token)
    cloud.perform(calls.revoke_computer_certificate(first.computer_id))

    with pytest.raises(Forbidden, match=REFUSED_TOKEN):
        cloud.join(token)


def test_a_computer_that_forgot_its_answer_comes_in_by_another_token(
    cloud: Cloud,
) -> None:
    first = cloud.join(cloud.token())

    assert cloud.join(cloud.token()) == first


def test_a_certificate_is_renewed_when_it_is_due_and_once(cloud: Cloud) -> None:
    first = cloud.join(cloud.token())

    early = cloud.renew(first.certificate)
    cloud.pass_days(LEAF_DAYS * 2 / 3)
    renewed = cloud.renew(first.certificate)
    again = cloud.renew(first.certificate)

    assert early == first.certificate
    assert again == renewed != first.certificate
    assert describe_first(renewed).expires_at > describe_first(early).expires_at
    assert describe_first(renewed).serial != describe_first(early).serial


def test_a_certificate_that_is_over_is_not_renewed(cloud: Cloud) -> None:
    first = cloud.join(cloud.token())
    cloud.pass_days(LEAF_DAYS)

    with pytest.raises(Forbidden, match=r"this is not renewed: .* ended on"):
        cloud.renew(first.certificate)

    assert cloud.join(cloud.token()).computer_id == first.computer_id


def test_who_has_not_the_key_gets_nothing(cloud: Cloud) -> None:
    first = cloud.join(cloud.token())

    with pytest.raises(Forbidden, match="not of the key of computer"):
        cloud.renew(first.certificate, cloud.keys.new_private_key())


def test_who_is_of_another_cloud_gets_nothing(cloud: Cloud) -> None:
    other = a_leaf(a_region(cloud.keys, cloud.now), cloud.key, cloud.now)

    with pytest.raises(Forbidden, match="does not lead to the root"):
        cloud.renew(other.certificate)


@pytest.mark.parametrize("role", [Role.REPLICA, Role.LINK])
def test_what_was_signed_by_hand_is_renewed_with_its_addresses(
    cloud: Cloud, role: Role
) -> None:
    identity = Identity(role, "lyon-2")
    first = a_leaf(cloud.region, cloud.key, cloud.now, identity, ("10.0.0.1",))
    cloud.pass_days(LEAF_DAYS * 2 / 3)

    renewed = cloud.renew(first.certificate)

    said = describe_first(renewed)
    assert (identity_of(said.uris), said.addresses) == (identity, ("10.0.0.1",))
    assert cloud.renew(first.certificate) == renewed


@pytest.mark.parametrize("role", [Role.PERSON, Role.INSTANCE])
def test_others_are_not_renewed_by_request(cloud: Cloud, role: Role) -> None:
    first = a_leaf(cloud.region, cloud.key, cloud.now, Identity(role, "x"))

    with pytest.raises(Forbidden, match="by a token alone"):
        cloud.renew(first.certificate)


def test_keys_that_the_master_makes_are_certified_by_the_region_too(
    cloud: Cloud,
) -> None:
    cloud.perform(calls.define_computer(a_computer_definition(1)))

    issued = cloud.perform(calls.issue_computer_certificate(COMPUTER_ID))

    assert isinstance(issued, Certificate)
    said = check_chain(issued.certificate, cloud.region.roots, cloud.now)
    assert identity_of(said.uris) == Identity(Role.COMPUTER, COMPUTER_ID)
    assert said.key_digest == key_digest(issued.key)
    # A stock client comes with a new token once a year.
    assert round((said.expires_at - cloud.now) / DAY) == BY_HAND_DAYS - 1


def test_an_instance_has_one_certificate_of_the_region_until_it_is_due(
    cloud: Cloud,
) -> None:
    cloud.perform(calls.define_computer(a_computer_definition(1)))
    cloud.perform(calls.supply(an_installation()))
    wanted = an_instance_request(title="root")
    requested = cloud.perform(calls.request_instance(wanted))
    assert isinstance(requested, RequestedInstance)

    def serial() -> str:
        given = cloud.perform(calls.get_certificate(requested.key))
        assert isinstance(given, Certificate)
        said = check_chain(given.certificate, cloud.region.roots, cloud.now)
        assert identity_of(said.uris) == Identity(
            Role.INSTANCE, str(requested.instance_guid)
        )
        return said.serial

    serials = []
    for days in (0, 58, 2, 650, 0):  # the region is about to end at last
        cloud.pass_days(days)
        serials.append(serial())

    assert serials[0] == serials[1] != serials[2]
    assert serials[3] == serials[4]


def test_a_stock_client_comes_in_by_the_same_token(cloud: Cloud) -> None:
    token = cloud.token()

    replies = [
        cloud.send(
            "POST",
            "Person_requestComputer",
            {
                "X-Access-Token": token,
                "Content-Type": "application/x-www-form-urlencoded",
            },
            b"title=attic",
        )
        for _ in range(2)
    ]

    text = json.loads(replies[0].body)["certificate"]
    said = check_chain(text, cloud.region.roots, cloud.now)
    assert identity_of(said.uris) == Identity(Role.COMPUTER, "COMP-1")
    assert replies[1].status == 403
    with pytest.raises(Forbidden, match=REFUSED_TOKEN):
        cloud.join(token)


def test_a_replica_without_the_key_of_its_region_sends_to_others(cloud: Cloud) -> None:
    token = cloud.token()
    cloud.tree.remove(Holding.REGION.key_name)

    with pytest.raises(Unavailable, match="nothing can be signed here: there is no"):
        cloud.join(token)

    assert cloud.perform(calls.get_roots()) == cloud.region.roots


def test_a_region_that_is_over_sends_to_others(cloud: Cloud) -> None:
    token = cloud.token()
    cloud.pass_days(3 * 365)

    with pytest.raises(Unavailable, match="region lyon ended on"):
        cloud.join(token)


def test_a_mini_master_without_an_authority_says_so() -> None:
    bench = WebBench()

    for call in (calls.get_roots(), calls.join("t", "title", "request")):
        with pytest.raises(BadRequest, match="certifies no keys of others"):
            bench.perform(call)

    token = bench.perform(calls.get_token("computer"))
    assert isinstance(token, str)
    assert read_token(token).root_digest == ""
    bench.close()


def test_a_new_certificate_of_the_region_counts_from_the_next_call_on(
    cloud: Cloud,
) -> None:
    write_region(cloud.tree, a_region(cloud.keys, cloud.now, name="tokyo"))

    admission = cloud.join(cloud.token())

    assert describe_first(admission.certificate).issuer == "region tokyo"


def test_a_replica_renews_its_own_certificate_while_it_runs(cloud: Cloud) -> None:
    directory = IdentityDirectory(cloud.tree)
    directory.make_key(cloud.keys.new_private_key)
    identity = Identity(Role.REPLICA, "lyon-1")
    first = RegionHome(cloud.tree).certify_own(identity, ("::1",), cloud.now)

    cloud.world.run_for(2 * LOOK_SECONDS)
    meanwhile = directory.held(cloud.now).described
    cloud.pass_days(LEAF_DAYS - 1.5)
    cloud.world.run_for(2 * LOOK_SECONDS)

    renewed = directory.held(cloud.now).described
    assert meanwhile == first
    assert (identity_of(renewed.uris), renewed.addresses) == (identity, ("::1",))
    assert renewed.expires_at > first.expires_at


def test_a_replica_whose_region_is_over_goes_on_and_says_so(cloud: Cloud) -> None:
    directory = IdentityDirectory(cloud.tree)
    directory.make_key(cloud.keys.new_private_key)
    RegionHome(cloud.tree).certify_own(Identity(Role.REPLICA, "x"), (), cloud.now)
    before = directory.chain()

    cloud.pass_days(3 * 365)
    cloud.world.run_for(3 * LOOK_SECONDS)

    assert directory.chain() == before
    assert cloud.perform(calls.get_roots())
