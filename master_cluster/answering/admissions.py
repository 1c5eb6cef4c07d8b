"""Shell. Who comes in by request, and who stays: certificates of keys elsewhere.

They need the authority of a region. A mini-master without one makes keys itself, as the
reference does, and answers nobody here.
"""

from __future__ import annotations

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.authority.asking import read_request
from master_cluster.authority.region import RegionHome
from master_cluster.store import admitting
from master_cluster.store.outages import StillInDoubt
from runtime.certificates import BadCertificate, check_chain, digest_of_key
from slap.admissions import Admission
from slap.errors import BadRequest, Forbidden
from slap.identities import Role, identity_of
from slap.methods import EXTENSION

RENEWABLE = (Role.COMPUTER, Role.REPLICA, Role.LINK)
"""Whose keys are where they are used. Persons come again with a token."""


class AdmissionAnswers:
    """Methods about certificates by request."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            EXTENSION + "roots": self._roots,
            EXTENSION + "join": self._join,
            EXTENSION + "renew": self._renew,
        }

    async def _roots(self) -> str:
        return self._home().roots()

    async def _join(
        self, token: str, title: str, certificate_request: str
    ) -> Admission:
        """Take a token; the same key and token get the same answer again."""
        now, home = self._desk.now(), self._home()
        key = read_request(certificate_request)
        region = home.region(now)
        try:
            return await self._desk.decide(
                lambda cloud, _: admitting.join(cloud, region, token, title, key, now)
            )
        except StillInDoubt as doubt:
            raise doubt.named(f"the computer {title!r}, with this token") from doubt

    async def _renew(self, certificate: str, certificate_request: str) -> str:
        """Certify once more who has the key of a certificate that is valid now."""
        now, home = self._desk.now(), self._home()
        key = read_request(certificate_request)
        region = home.region(now)
        try:
            present = check_chain(certificate, region.roots, now)
        except BadCertificate as error:
            raise Forbidden(f"this is not renewed: {error}") from error
        identity = identity_of(present.uris)
        if identity.role not in RENEWABLE:
            raise Forbidden(f"{identity} gets a certificate by a token alone")
        if digest_of_key(key) != present.key_digest:
            raise Forbidden(f"the request is not of the key of {identity}")
        return await self._desk.decide(
            lambda cloud, _: admitting.renew(cloud, region, identity, present, key, now)
        )

    def _home(self) -> RegionHome:
        home = self._desk.home
        if home is None:
            raise BadRequest(
                "this master certifies no keys of others: it has no identity"
                " directory with a region's authority"
            )
        return home
