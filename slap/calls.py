"""Core. Calls: what is asked of a master, as a value and as HTTP, in both directions.

A caller turns a ``Call`` into an ``HttpCall`` and gets a value, or the error that the
master raised, out of the ``HttpAnswer``. A master does the reverse. The functions named
after an intention (``get_computer``, ``supply`` ...) build the calls.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from attrs import field, frozen

from slap import answers, json_codec, rpc, senders
from slap.errors import (
    RETRY_AFTER_SECONDS_MAX,
    BadRequest,
    MalformedDocument,
    MethodNotAllowed,
    NotFound,
    ServerError,
    SlapError,
    TooLarge,
    Unavailable,
    error_class,
)
from slap.form import BODY_BYTES_MAX, Form, naming, parse_form, render_form
from slap.marshalling import representable
from slap.method import RPC
from slap.methods import EXTENSION, METHODS, Dialect, Method
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionKey,
    SoftwareInstallation,
)
from slap.products import ReleaseQuestion
from slap.pushing import ReleaseOffer, ReleasePiece
from slap.replicas import REPLICAS_HEADER, ListedReplica, encode_replicas
from slap.transfer import Moved, Piece

FORM_TYPE = "application/x-www-form-urlencoded"

SENTENCE_LENGTH_MAX = 2000
"""What a caller keeps of the text of an error: a page of a proxy can be long."""


def _frozen(value: Mapping[str, object]) -> Mapping[str, object]:
    return MappingProxyType(dict(value))


def _frozen_headers(value: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(value))


@frozen
class Call:
    """What is asked: a method of ``METHODS`` and its arguments, as our values.

    ``requester`` is the partition that calls, ``None`` for a person or a computer.
    """

    method: str
    arguments: Mapping[str, object] = field(converter=_frozen, factory=dict)
    requester: PartitionKey | None = None


@frozen
class HttpCall:
    """A call as HTTP; ``path``, with its query, is relative to a master's address."""

    verb: str
    path: str
    headers: Mapping[str, str] = field(converter=_frozen_headers, factory=dict)
    body: bytes = b""


@frozen
class HttpAnswer:
    """An answer as HTTP."""

    status: int
    headers: Mapping[str, str] = field(converter=_frozen_headers, factory=dict)
    body: bytes = b""


def encode_call(call: Call) -> HttpCall:
    """Return how to send a call; ``BadRequest`` when HTTP cannot carry it."""
    method = METHODS[call.method]
    if method.dialect is Dialect.RPC:
        body = rpc.encode_arguments(method, call.arguments)
        return HttpCall("POST", method.name, _post_headers(call, answers.JSON), body)
    fields = {
        wire_name: text
        for argument in method.arguments
        for wire_name, text in argument.encode(call.arguments[argument.name]).items()
    }
    if method.verb == "GET":
        return HttpCall("GET", f"{method.name}?{render_form(fields)}")
    if method.dialect is Dialect.JSON:
        content_type, body = answers.JSON, json_codec.encode(fields)
    else:
        content_type, body = FORM_TYPE, render_form(fields).encode("ascii")
    return HttpCall("POST", method.name, _post_headers(call, content_type), body)


def decode_call(
    verb: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> Call:
    """Return what is asked; the method is the last part of ``path``.

    Raises ``NotFound``, ``MethodNotAllowed``, ``TooLarge`` or ``BadRequest``.
    """
    name = path.rpartition("/")[2]
    method = METHODS.get(name)
    if method is None:
        raise NotFound(f"no method {name!r}")
    if verb != method.verb:
        raise MethodNotAllowed(f"{name} is called with {method.verb}", method.verb)
    if len(body) > BODY_BYTES_MAX:
        raise TooLarge(f"a call has at most {BODY_BYTES_MAX} bytes")
    if method.verb == "GET":
        return Call(
            name,
            _decode_arguments(method, parse_form(query.encode(errors="surrogatepass"))),
        )
    lowered = {key.lower(): value for key, value in headers.items()}
    requester = senders.parse_requester(lowered.get("authorization", ""))
    hops = senders.parse_hops(lowered.get(senders.FORWARDED_HEADER.lower(), ""))
    if method.dialect is Dialect.RPC:
        decoded = rpc.decode_arguments(method, body)
        return Call(name, senders.with_sender(decoded, requester, hops), requester)
    if method.dialect is Dialect.JSON:
        with naming("the arguments are not understood"):
            form = Form(json_codec.decode_texts(body))
        _check_names(method, form)
    else:
        form = parse_form(body)
    arguments = _decode_arguments(method, form)
    return Call(name, senders.with_sender(arguments, requester, hops), requester)


def encode_answer(method: str, value: object) -> HttpAnswer:
    """Return how to send the answer of a method."""
    answer = METHODS[method].answer
    headers = {"Content-Type": answer.content_type}
    return HttpAnswer(HTTPStatus.OK.value, headers, answer.encode(value))


def encode_error(error: SlapError, path: str = "") -> HttpAnswer:
    """Return how to send an error, in the dialect of the method of a path."""
    status, body = error.status, representable(error.sentence).encode()
    headers = {"Content-Type": answers.TEXT}
    if path.rpartition("/")[2].startswith(RPC):
        status, body = rpc.encode_error(error)
        headers = {"Content-Type": answers.JSON}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, Moved):
        headers[REPLICAS_HEADER] = encode_replicas(error.replicas)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.allowed
    return HttpAnswer(status, headers, body)


def decode_answer(call: Call, answer: HttpAnswer) -> object:
    """Return what the master answered to ``call``, or raise the error that it raised.

    An answer that is not understood is a ``ServerError``: ask another replica.
    """
    if answer.status != HTTPStatus.OK:
        raise _decode_error(answer)
    try:
        return METHODS[call.method].answer.decode(answer.body)
    except MalformedDocument as error:
        sentence = f"the answer of {call.method} is not understood: {error}"
        raise ServerError(sentence) from error


def _post_headers(call: Call, content_type: str) -> dict[str, str]:
    headers = {"Content-Type": content_type}
    if call.requester is not None:
        headers["Authorization"] = senders.render_requester(call.requester)
    return headers | senders.render_hops(call.arguments.get("instance_request"))


def _decode_arguments(method: Method, form: Form) -> dict[str, object]:
    return {it.name: it.decode(form) for it in method.arguments}


def _check_names(method: Method, form: Form) -> None:
    known = {wire_name for it in method.arguments for wire_name in it.fields}
    unknown = sorted(set(form.fields) - known)
    if unknown:
        raise BadRequest(f"{unknown[0]}: unknown")


_SECONDS = re.compile(r"[0-9]{1,9}")
_TAG = re.compile(r"<(?:title>[^<]*|[^>]*>)")


def _decode_error(answer: HttpAnswer) -> SlapError:
    lowered = {key.lower(): value for key, value in answer.headers.items()}
    content_type = lowered.get("content-type", "")
    said = rpc.decode_sentence(content_type, answer.body)
    text = said or answer.body[: 4 * SENTENCE_LENGTH_MAX].decode(errors="replace")
    if "html" in content_type:
        text = " ".join(html.unescape(_TAG.sub(" ", text)).split())
    sentence = text[:SENTENCE_LENGTH_MAX] or f"HTTP status {answer.status}"
    kind = error_class(answer.status)
    if kind is Unavailable:
        seconds = lowered.get("retry-after", "")
        if _SECONDS.fullmatch(seconds):
            return Unavailable(sentence, min(int(seconds), RETRY_AFTER_SECONDS_MAX))
    if kind is MethodNotAllowed:
        return MethodNotAllowed(sentence, lowered.get("allow", ""))
    return kind(sentence)


def _about_partition(method: str, partition: PartitionKey, **arguments: object) -> Call:
    """Build a call that the node makes in the name of an instance."""
    return Call(method, {"partition": partition, **arguments}, partition)


def get_computer(computer_id: str) -> Call:
    return Call("getFullComputerInformation", {"computer_id": computer_id})


def get_partition(partition: PartitionKey) -> Call:
    return Call("registerComputerPartition", {"partition": partition})


def get_computer_status(computer_id: str) -> Call:
    return Call("getComputerStatus", {"computer_id": computer_id})


def get_instance_status(partition: PartitionKey) -> Call:
    return Call("getComputerPartitionStatus", {"partition": partition})


def get_installation_status(software_release_url: str, computer_id: str) -> Call:
    return _about_release(
        "getSoftwareInstallationStatus", software_release_url, computer_id
    )


def get_tree_addresses(partition: PartitionKey) -> Call:
    return Call("getHostingSubscriptionIpList", {"partition": partition})


def get_releases(question: ReleaseQuestion) -> Call:
    return Call("getSoftwareReleaseListFromSoftwareProduct", {"question": question})


def get_run_id() -> Call:
    return Call("getRunId")


def request_computer(title: str) -> Call:
    return Call("requestComputer", {"title": title})


def get_certificate(partition: PartitionKey) -> Call:
    return Call("getComputerPartitionCertificate", {"partition": partition})


def issue_computer_certificate(computer_id: str) -> Call:
    return Call("generateComputerCertificate", {"computer_id": computer_id})


def revoke_computer_certificate(computer_id: str) -> Call:
    return Call("revokeComputerCertificate", {"computer_id": computer_id})


def request_instance(wanted: InstanceRequest) -> Call:
    arguments = {"instance_request": wanted}
    return Call("requestComputerPartition", arguments, wanted.requester)


def publish_connection(
    partition: PartitionKey,
    connection_parameters: Mapping[str, str],
    shared_reference: str | None = None,
) -> Call:
    return _about_partition(
        "setComputerPartitionConnectionXml",
        partition,
        connection_parameters=connection_parameters,
        shared_reference=shared_reference,
    )


def supply(installation: SoftwareInstallation) -> Call:
    return Call("supplySupply", {"installation": installation})


def _about_release(
    method: str, software_release_url: str, computer_id: str, **arguments: object
) -> Call:
    named = {"software_release_url": software_release_url, "computer_id": computer_id}
    return Call(method, {**named, **arguments})


def report_building(software_release_url: str, computer_id: str) -> Call:
    return _about_release("buildingSoftwareRelease", software_release_url, computer_id)


def report_available(software_release_url: str, computer_id: str) -> Call:
    return _about_release("availableSoftwareRelease", software_release_url, computer_id)


def report_removed(software_release_url: str, computer_id: str) -> Call:
    return _about_release("destroyedSoftwareRelease", software_release_url, computer_id)


def report_software_error(
    software_release_url: str, computer_id: str, error_log: str
) -> Call:
    return _about_release(
        "softwareReleaseError", software_release_url, computer_id, error_log=error_log
    )


def report_started(partition: PartitionKey) -> Call:
    return _about_partition("startedComputerPartition", partition)


def report_stopped(partition: PartitionKey) -> Call:
    return _about_partition("stoppedComputerPartition", partition)


def report_destroyed(partition: PartitionKey) -> Call:
    return _about_partition("destroyedComputerPartition", partition)


def report_instance_error(
    partition: PartitionKey, error_log: str, shared_reference: str | None = None
) -> Call:
    return _about_partition(
        "softwareInstanceError",
        partition,
        error_log=error_log,
        shared_reference=shared_reference,
    )


def bang_instance(partition: PartitionKey, message: str) -> Call:
    return _about_partition("softwareInstanceBang", partition, message=message)


def bang_computer(computer_id: str, message: str) -> Call:
    return Call("computerBang", {"computer_id": computer_id, "message": message})


def rename_instance(
    partition: PartitionKey, title: str, shared_reference: str | None = None
) -> Call:
    return _about_partition(
        "softwareInstanceRename",
        partition,
        title=title,
        shared_reference=shared_reference,
    )


def define_computer(definition: ComputerDefinition) -> Call:
    return Call("loadComputerConfigurationFromXML", {"definition": definition})


def send_usage(computer_id: str, usage_document: str) -> Call:
    arguments = {"computer_id": computer_id, "usage_document": usage_document}
    return Call("useComputer", arguments)


def list_usage(computer_id: str, since: float = 0.0, after: str = "") -> Call:
    """Ask for the usage documents of a computer, from where an answer ended."""
    arguments = {"computer_id": computer_id, "since": since, "after": after}
    return Call(EXTENSION + "usage", arguments)


def get_usage_document(computer_id: str, document_id: str) -> Call:
    arguments = {"computer_id": computer_id, "document_id": document_id}
    return Call(EXTENSION + "usage_document", arguments)


def report_requested_titles(partition: PartitionKey, titles: tuple[str, ...]) -> Call:
    return _about_partition(
        "updateComputerPartitionRelatedInstanceList", partition, titles=titles
    )


def get_products() -> Call:
    return Call(EXTENSION + "products")


def add_product_release(title: str, software_release_url: str) -> Call:
    arguments = {"title": title, "software_release_url": software_release_url}
    return Call(EXTENSION + "product_add", arguments)


def remove_product_release(title: str, software_release_url: str = "") -> Call:
    """Take a release from a product; without one, all of them."""
    arguments = {"title": title, "software_release_url": software_release_url}
    return Call(EXTENSION + "product_remove", arguments)


def get_replicas() -> Call:
    return Call(EXTENSION + "replicas")


def forget_replica(url: str) -> Call:
    return Call(EXTENSION + "replica_forget", {"url": url})


def get_transfer() -> Call:
    return Call(EXTENSION + "transfer")


def freeze() -> Call:
    return Call(EXTENSION + "freeze")


def thaw() -> Call:
    return Call(EXTENSION + "thaw")


def move(replicas: tuple[ListedReplica, ...]) -> Call:
    """Leave a frozen state to these."""
    return Call(EXTENSION + "move", {"replicas": replicas})


def receive(piece: Piece) -> Call:
    return Call(EXTENSION + "receive", {"piece": piece})


def open_received(digest: str) -> Call:
    """Begin to serve what was received, if that is its digest."""
    return Call(EXTENSION + "open", {"digest": digest})


def get_releases_held() -> Call:
    return Call(EXTENSION + "releases")


def offer_release(offer: ReleaseOffer) -> Call:
    return Call(EXTENSION + "release_offer", {"offer": offer})


def receive_release(piece: ReleasePiece) -> Call:
    return Call(EXTENSION + "release_receive", {"piece": piece})


def forget_release(fingerprint: str) -> Call:
    """Have one replica keep a pushed release no longer."""
    return Call(EXTENSION + "release_forget", {"fingerprint": fingerprint})


def get_token(purpose: str) -> Call:
    """Ask for a token that is good for ``computer`` or for ``person``."""
    return Call(EXTENSION + "token", {"purpose": purpose})


def get_roots() -> Call:
    """Ask for the root certificates, which nobody needs to be known for."""
    return Call(EXTENSION + "roots")


def join(token: str, title: str, certificate_request: str) -> Call:
    """Ask to be the computer of a title."""
    return Call(
        EXTENSION + "join",
        {"token": token, "title": title, "certificate_request": certificate_request},
    )


def renew_certificate(certificate: str, certificate_request: str) -> Call:
    """Ask for the certificate after this one."""
    arguments = {
        "certificate": certificate,
        "certificate_request": certificate_request,
    }
    return Call(EXTENSION + "renew", arguments)


def get_cloud_report() -> Call:
    return Call(EXTENSION + "status")


def get_computer_report(computer_id: str) -> Call:
    return Call(EXTENSION + "computer", {"computer_id": computer_id})


def set_computer_attributes(computer_id: str, attributes: Mapping[str, str]) -> Call:
    return Call(
        EXTENSION + "set_computer_attributes",
        {"computer_id": computer_id, "attributes": attributes},
    )


def give_up_computer(computer_id: str) -> Call:
    return Call(EXTENSION + "give_up_computer", {"computer_id": computer_id})


def get_tree_report(title: str) -> Call:
    return Call(EXTENSION + "instance_tree", {"title": title})


def get_requested(partition: PartitionKey) -> Call:
    """Ask what the instance in a partition requested, and what came of it."""
    return Call(EXTENSION + "requested", {"partition": partition})


def explain_allocation(title: str, root_title: str = "") -> Call:
    """Ask why an instance is where it is; without ``root_title``, the root itself."""
    return Call(EXTENSION + "why", {"title": title, "root_title": root_title})
