"""Core. Which requests go to another master, under which title, and what is remembered.

1. An instance that exists here stays here. What was forwarded stays with its master, as
   an instance keeps its partition, whatever a later request says of ``master_url``. Of
   two first requests at once one is decided after the other, and stays with it.
2. Otherwise a filter that names another master wins over the releases that the
   configuration gives to one. A master that is not in the configuration is not found:
   who may request here must not make us call any address.
3. Two requesters never meet in one title of the other master (``remote_title``).
4. A root that is not started hands its state to what its tree forwarded, as it does to
   its children.
5. The intention is written before the other master is asked, and its ``revision``
   grows with each change: an answer settles the revision that it answers and no later
   one, whoever else asked meanwhile. It has what was ``seen`` of the other master
   before it was written, and each call of it says that and no more. So a call that is
   late is refused there once a later revision was answered, whichever of us sent
   either; that one claims what it is about, since it may change nothing
   (``slap.freshness``).
6. A tree that goes takes along what it forwarded. Nobody waits for that: a removal that
   is not settled is asked again until the other master answers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import urlsplit

from attrs import evolve, frozen

from master_cluster.records import InstanceRecord
from master_cluster.requesting import state_under
from slap.errors import BadRequest, NotFound, NotReady, Refusal, SlapError
from slap.freshness import UNSEEN
from slap.model import (
    InstanceRequest,
    PartitionKey,
    RequestedInstance,
    RequestedState,
    texts,
)

MASTER_URL_KEY = "master_url"
SOURCE_KEY = "source_instance_id"
"""What the reference adds to the filter of a request as a person, and so do we."""

REMOTE_TITLE_LENGTH_MAX = 200
"""Titles become names of files and columns; no master is known to refuse this."""

HOPS_MAX = 8
"""Masters in a row; each one waits for the next."""

USER_PREFIX = "user_"
"""As the reference has it, so that what a person forwarded with it is found again."""

DIGEST_LENGTH = 32

_OWN_GUID = re.compile(r"SOFTINST-[0-9a-f]{24}")

DEFAULT_PORTS = MappingProxyType({"http": 80, "https": 443})

FORWARDED_PER_TREE_MAX = 1000
"""All of them are marked in one transaction when their tree goes."""


@frozen
class OtherMaster:
    """A master that we may forward to.

    ``url`` is its name, ``reached_at`` where we call it: a local entry of a tunnel, or
    the same. With a ``requester`` we ask as that partition, else as a person.
    """

    url: str
    reached_at: str
    requester: PartitionKey | None = None
    software_release_urls: tuple[str, ...] = ()


@frozen
class Masters:
    """Whom we know: ourselves, and the others."""

    others: tuple[OtherMaster, ...] = ()
    own_urls: tuple[str, ...] = ()

    def answering_at(self, url: str) -> Masters:
        """Return the same masters, when we are called by this address, too."""
        return evolve(self, own_urls=(*self.own_urls, url))

    def find(self, url: str) -> OtherMaster | None:
        wanted = comparable_url(url)
        for it in self.others:
            if comparable_url(it.url) == wanted:
                return it
        return None

    def is_own(self, url: str) -> bool:
        return comparable_url(url) in map(comparable_url, self.own_urls)


@frozen
class ForwardedInstance:
    """What was requested of another master.

    ``root_guid`` is the root of the tree that wants it, empty for a person.
    ``partition`` and what follows are of the last answer; ``sentence`` is of the last
    trouble.
    ``is_new`` until a second call, or an answer: only then does a refusal prove that
    the other master has nothing.
    ``seen`` is a transaction of the other master that was known before this was
    written.
    """

    title: str
    root_guid: str
    requester_guid: str | None
    master_url: str
    remote_title: str
    software_release_url: str
    software_type: str
    is_shared: bool = False
    parameters: Mapping[str, str] = texts()
    allocation_filter: Mapping[str, str] = texts()
    requested_state: RequestedState = RequestedState.STARTED
    revision: int = 1
    settled_revision: int = 0
    is_new: bool = True
    partition: PartitionKey | None = None
    instance_guid: str | None = None
    connection_parameters: Mapping[str, str] = texts()
    sentence: str = ""
    seen: bytes = UNSEEN

    @property
    def is_leaving(self) -> bool:
        return self.requested_state is RequestedState.DESTROYED

    @property
    def is_settled(self) -> bool:
        """Whether the other master took note of what is wanted now."""
        return self.revision == self.settled_revision


@frozen
class ForwardView:
    """What a forwarding is decided upon."""

    requester: InstanceRecord | None = None
    root: InstanceRecord | None = None
    known: ForwardedInstance | None = None
    tree_count: int = 0


def comparable_url(url: str) -> str:
    """Return an address so that equal ones are the same text."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return url
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def remote_title(root_guid: str, title: str) -> str:
    """Return what the other master knows an instance by.

    Titles are unique in a tree and trees have guids; the guids that we make are of one
    length, and those of an imported store are made so by a digest: so no two of our
    instances get one title. A long one is cut to exactly the longest length, which no
    other title has, and ends in a digest of the whole.
    """
    if not root_guid:
        prefix = USER_PREFIX
    elif _OWN_GUID.fullmatch(root_guid):
        prefix = f"{root_guid}_"
    else:
        prefix = f"tree-{_digest(root_guid)}_"
    whole = prefix + title
    if len(whole) < REMOTE_TITLE_LENGTH_MAX:
        return whole
    kept = REMOTE_TITLE_LENGTH_MAX - DIGEST_LENGTH - 1
    return f"{whole[:kept]}~{_digest(whole)}"


def choose_master(
    wanted: InstanceRequest, masters: Masters, known: ForwardedInstance | None
) -> OtherMaster | NotFound | None:
    """Return who answers a request: another master, nobody, or (``None``) this one."""
    if known is not None:
        return masters.find(known.master_url) or NotFound(
            f"{wanted.title!r} was forwarded to {known.master_url}, which is not"
            " among the masters of the configuration any more"
        )
    url = wanted.allocation_filter.get(MASTER_URL_KEY)
    if url and masters.is_own(url):
        return None
    if url:
        return masters.find(url) or NotFound(
            f"the master {url} is not among those of the configuration"
        )
    for it in masters.others:
        if wanted.software_release_url in it.software_release_urls:
            return it
    return None


def without_master(wanted: InstanceRequest) -> InstanceRequest:
    """Return a request for whoever gets it: without a filter that names the master."""
    if MASTER_URL_KEY not in wanted.allocation_filter:
        return wanted
    kept = dict(wanted.allocation_filter)
    del kept[MASTER_URL_KEY]
    return evolve(wanted, allocation_filter=kept)


def refuse_loop(wanted: InstanceRequest, master_id: str) -> SlapError | None:
    """Say why a request is not forwarded once more."""
    hops = wanted.forwarded_by
    if master_id in hops:
        chain = " -> ".join((*hops, master_id))
        return BadRequest(
            f"{wanted.title!r} is forwarded in a circle of masters: {chain}"
        )
    if len(hops) >= HOPS_MAX:
        return BadRequest(f"{wanted.title!r} was forwarded {len(hops)} times")
    return None


def decide_forward(
    wanted: InstanceRequest,
    view: ForwardView,
    master: OtherMaster,
    first_revision: int = 1,
    seen: bytes = UNSEEN,
) -> ForwardedInstance | SlapError:
    """Return the intention to write; it equals what is known when nothing changes.

    ``first_revision`` is drawn, so that a late answer to what was forgotten is not
    taken for one to what came after it. ``seen`` is a transaction of the other master.
    """
    known, root = view.known, view.root
    root_guid = root.instance_guid if root is not None else ""
    wished = wanted.requested_state or _present_state(known)
    requested_state = state_under(root, wished)
    is_leaving = requested_state is RequestedState.DESTROYED
    if known is None and is_leaving:
        return NotFound(f"no instance {wanted.title!r}: nothing to destroy")
    if known is None and view.tree_count >= FORWARDED_PER_TREE_MAX:
        return BadRequest(f"a tree forwards at most {FORWARDED_PER_TREE_MAX} instances")
    if known is not None and known.is_shared != wanted.is_shared:
        kind = "shared" if known.is_shared else "not shared"
        return BadRequest(f"{wanted.title!r} exists and is {kind}")
    requester_guid = view.requester.instance_guid if view.requester else None
    if known is not None and is_leaving:
        changed = evolve(known, requested_state=requested_state, is_new=False)
    else:
        allocation_filter = without_master(wanted).allocation_filter
        changed = ForwardedInstance(
            title=wanted.title,
            root_guid=root_guid,
            requester_guid=requester_guid,
            master_url=master.url,
            remote_title=remote_title(root_guid, wanted.title),
            software_release_url=wanted.software_release_url,
            software_type=wanted.software_type,
            is_shared=wanted.is_shared,
            parameters=wanted.parameters,
            allocation_filter=allocation_filter,
            requested_state=requested_state,
            revision=first_revision,
            seen=seen,
        )
        if known is not None:
            changed = evolve(
                changed,
                master_url=known.master_url,
                remote_title=known.remote_title,
                revision=known.revision,
                settled_revision=known.settled_revision,
                is_new=False,
                partition=known.partition,
                instance_guid=known.instance_guid,
                connection_parameters=known.connection_parameters,
                sentence=known.sentence,
                seen=known.seen,
            )
    if known is None or changed == evolve(known, is_new=False):
        return changed
    return evolve(changed, revision=known.revision + 1, seen=max(known.seen, seen))


def decide_leaving(forwarded: Sequence[ForwardedInstance]) -> list[ForwardedInstance]:
    """Return what to write when the tree that wants them goes."""
    return [
        evolve(
            it,
            requested_state=RequestedState.DESTROYED,
            revision=it.revision + 1,
            is_new=False,
        )
        for it in forwarded
        if not it.is_leaving
    ]


def forwarded_request(
    forwarded: ForwardedInstance, master: OtherMaster, hops: tuple[str, ...]
) -> InstanceRequest:
    """Return what the other master is asked."""
    allocation_filter = dict(forwarded.allocation_filter)
    if master.requester is None:
        allocation_filter[SOURCE_KEY] = forwarded.remote_title
    return InstanceRequest(
        title=forwarded.remote_title,
        software_release_url=forwarded.software_release_url,
        software_type=forwarded.software_type,
        parameters=forwarded.parameters,
        allocation_filter=allocation_filter,
        requested_state=forwarded.requested_state,
        is_shared=forwarded.is_shared,
        requester=master.requester,
        forwarded_by=hops,
    )


@frozen
class Settled:
    """What an answer changes: a record to write, or one to forget.

    ``is_overtaken`` when another revision was written meanwhile: then the other master
    may have heard the earlier wish last, and is asked again.
    """

    record: ForwardedInstance | None
    is_overtaken: bool = False


def settle_answer(
    present: ForwardedInstance | None,
    sent: ForwardedInstance,
    answer: RequestedInstance,
) -> Settled:
    """Decide what is remembered of an answer; removal that is accepted is forgotten."""
    if present is None:
        return _removed_again(sent)
    if present.revision != sent.revision:
        return Settled(evolve(present, is_new=False), is_overtaken=True)
    if present.is_leaving:
        return Settled(None)
    return Settled(
        evolve(
            present,
            settled_revision=present.revision,
            is_new=False,
            partition=answer.key,
            instance_guid=answer.instance_guid,
            connection_parameters=answer.connection_parameters,
            sentence="",
        )
    )


def settle_error(
    present: ForwardedInstance | None, sent: ForwardedInstance, error: SlapError
) -> Settled:
    """Decide what is remembered of an error.

    What never was is forgotten with a refusal. A removal is over when the other master
    has no such instance, or has taken note of it (ERP5 says *not ready* to that).
    """
    if present is None:
        return Settled(None) if isinstance(error, Refusal) else _removed_again(sent)
    if present.revision != sent.revision:
        return Settled(present, is_overtaken=True)
    if present.is_leaving and isinstance(error, (NotFound, NotReady)):
        return Settled(None)
    if present.is_new and isinstance(error, Refusal):
        return Settled(None)
    noted = evolve(present, is_new=False, sentence=error.sentence)
    if isinstance(error, NotReady):
        noted = evolve(noted, settled_revision=present.revision)
    return Settled(noted)


def settle_overtaken(present: ForwardedInstance | None, seen: bytes) -> Settled:
    """Decide what is asked when the other master had changed what we had not seen.

    ``seen`` is what it says to that. It has made nothing of the call, and the wish of
    now is asked: a later one may have been answered already.
    """
    if present is None:
        return Settled(None)
    renewed = evolve(present, seen=max(present.seen, seen))
    return Settled(renewed, is_overtaken=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[
        :DIGEST_LENGTH
    ]


def _removed_again(sent: ForwardedInstance) -> Settled:
    """Let it leave once more: its removal may have overtaken this call on the way."""
    if sent.is_leaving:
        return Settled(None)
    [leaving] = decide_leaving([sent])
    return Settled(leaving, is_overtaken=True)


def _present_state(known: ForwardedInstance | None) -> RequestedState:
    return RequestedState.STARTED if known is None else known.requested_state
