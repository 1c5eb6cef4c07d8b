"""How a computer comes into a cloud: by a token, with a key that never leaves it.

Each step is on disk before the next one, so whoever is killed goes on where it was:

1. the key is made;
2. the root is fetched from whoever answers, and kept if it is the one of the token;
3. the token goes to a master of that root alone, with a request for a certificate. The
   same key gets the same answer again, whatever became of the first;
4. the certificate is kept if it fits the key and leads to the root.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from attrs import frozen

from runtime.certificates import (
    BadCertificate,
    Described,
    check_chain,
    render_request,
    root_digest,
)
from runtime.identity_directory import IdentityDirectory, paths_below
from runtime.identity_files import CredentialPaths
from runtime.ports import Runtime
from runtime.tls import Credentials, ServerTrust
from slap import calls
from slap.admissions import Admission, Token, read_token
from slap.calls import Call
from slap.errors import Forbidden
from slap.identities import Identity, Role, identity_of
from slap.replicas import Replicas
from slapgrid.slap_client import SlapClient
from slapgrid.trusting import trust_masters


class NotJoined(Exception):
    """The computer did not come in; the sentence says why, and nothing was told."""


@frozen
class Invitation:
    """Where to come in, by which token, and what people are to call the computer."""

    url: str
    token: str
    title: str

    def __attrs_post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host = ip_address(parts.hostname or "")
        except ValueError as error:
            raise NotJoined(
                f"{self.url}: write the numeric address of a master, such as "
                "https://[2001:db8::1]:5000/"
            ) from error
        if parts.scheme not in {"http", "https"}:
            raise NotJoined(f"{self.url} begins with neither https:// nor http://")
        if parts.scheme == "http" and not host.is_loopback:
            raise NotJoined(
                f"{self.url} would show the token to everybody in between: use "
                "https://, or http:// of this computer alone"
            )

    @property
    def is_secure(self) -> bool:
        return urlsplit(self.url).scheme == "https"


@frozen
class Joined:
    """Who the computer is, the masters to ask, and what its certificate says."""

    computer_id: str
    master_urls: tuple[str, ...]
    certificate: Described


def find_joined(runtime: Runtime, directory: str) -> Identity | None:
    """Return who a computer that came in before is; ``None`` when none did."""
    found = IdentityDirectory(runtime.file_tree(directory))
    try:
        return identity_of(found.held(runtime.calendar.now()).described.uris)
    except (BadCertificate, Forbidden):
        return None


async def join(runtime: Runtime, invitation: Invitation, directory: str) -> Joined:
    """Come in; raises ``NotJoined``, ``BadCertificate``, and what the master raises."""
    token = _checked_token(invitation)
    found = IdentityDirectory(runtime.file_tree(directory))
    key = found.make_key(runtime.keys.new_private_key)
    await _keep_roots(runtime, invitation, token, found)
    asked = render_request(key, "a computer that comes in")
    admission = await _ask(
        runtime,
        invitation,
        calls.join(invitation.token, invitation.title, asked),
        trust_masters(runtime, CredentialPaths(paths_below(directory).roots)),
    )
    assert isinstance(admission, Admission)
    _check_admission(admission, found, runtime.calendar.now())
    described = found.keep_chain(admission.certificate, runtime.calendar.now())
    urls = {it.rstrip("/"): it for it in (*admission.master_urls, invitation.url)}
    first = urls.pop(invitation.url.rstrip("/"))
    return Joined(admission.computer_id, (first, *urls.values()), described)


def _checked_token(invitation: Invitation) -> Token:
    try:
        token = read_token(invitation.token)
    except Forbidden as error:
        raise NotJoined("the token is none: copy all of it") from error
    if not token.root_digest:
        raise NotJoined(
            "the token names no root: it is of a master without an authority, where "
            "`slapos node register` comes in, or a part of it is missing"
        )
    return token


async def _keep_roots(
    runtime: Runtime, invitation: Invitation, token: Token, found: IdentityDirectory
) -> None:
    present = found.roots()
    if not present:
        present = str(await _ask(runtime, invitation, calls.get_roots(), _BLIND))
    try:
        is_meant = root_digest(present) == token.root_digest
    except BadCertificate as error:
        raise NotJoined(f"{invitation.url} has no root: {error}") from error
    if not is_meant and found.roots():
        raise NotJoined(
            f"{found.tree.root} has the root of another cloud than that of the token: "
            "use another directory"
        )
    if not is_meant:
        raise NotJoined(
            f"{invitation.url} is no master of the cloud of this token: it was told "
            "nothing"
        )
    found.keep_roots(present)


_BLIND = ServerTrust(lambda: Credentials("", "", ""), lambda _: None, is_blind=True)
"""For the root alone, whose digest is known."""


async def _ask(
    runtime: Runtime, invitation: Invitation, call: Call, trust: ServerTrust
) -> object:
    client = SlapClient(
        runtime,
        Replicas((invitation.url,)),
        trust=trust if invitation.is_secure else None,
    )
    try:
        return await client.perform(call)
    finally:
        await client.close()


def _check_admission(
    admission: Admission, found: IdentityDirectory, now: float
) -> None:
    described = check_chain(admission.certificate, found.roots(), now)
    identity = Identity(Role.COMPUTER, admission.computer_id)
    if identity_of(described.uris) != identity:
        raise NotJoined(f"the master certified {described.name}, and not {identity}")
