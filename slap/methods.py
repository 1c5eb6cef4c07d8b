"""Core. The table of the methods: what can be asked of a master, and how.

Everything that must know all methods iterates over ``METHODS``: the web resources of
the master, the codec of calls, the reference. So no method exists on one side only.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from slap import answers, arguments, pushing, transfer, usage
from slap.answers import Answer
from slap.arguments import Argument
from slap.method import Dialect, Method
from slap.rpc_methods import RPC_TABLE

__all__ = ["EXTENSION", "METHODS", "Dialect", "Method", "render_reference"]

EXTENSION = "slapcluster.v0."
"""Prefix of the methods that no other master has."""


def _get(name: str, answer: Answer, summary: str, *wanted: Argument) -> Method:
    return Method(name, "GET", Dialect.FORM, wanted, answer, summary)


def _post(name: str, answer: Answer, summary: str, *wanted: Argument) -> Method:
    return Method(name, "POST", Dialect.FORM, wanted, answer, summary)


def _extension(name: str, answer: Answer, summary: str, *wanted: Argument) -> Method:
    full_name = EXTENSION + name
    return Method(full_name, "POST", Dialect.JSON, wanted, answer, summary)


_OK = answers.done("OK")
_DONE = answers.done("done")
_SOFTWARE = (arguments.SOFTWARE_RELEASE_URL, arguments.COMPUTER_ID)

_TABLE = (
    _get(
        "getFullComputerInformation",
        answers.COMPUTER,
        "The complete wanted state of a computer.",
        arguments.COMPUTER_ID,
    ),
    _get(
        "getComputerInformation",
        answers.COMPUTER,
        "The same, by its old name.",
        arguments.COMPUTER_ID,
    ),
    _get(
        "registerComputerPartition",
        answers.PARTITION,
        "The complete wanted state of one partition.",
        arguments.REGISTERED_PARTITION,
    ),
    _get(
        "getComputerPartitionCertificate",
        answers.CERTIFICATE,
        "The certificate and key of the instance in a partition.",
        arguments.PARTITION,
    ),
    _get(
        "getComputerStatus",
        answers.ACCESS_STATUS,
        "What was last heard of a computer.",
        arguments.COMPUTER_ID,
    ),
    _get(
        "getComputerPartitionStatus",
        answers.ACCESS_STATUS,
        "What was last heard of the instance in a partition.",
        arguments.PARTITION,
    ),
    _get(
        "getSoftwareInstallationStatus",
        answers.ACCESS_STATUS,
        "What was last heard of a release on a computer.",
        *_SOFTWARE,
    ),
    _get(
        "getHostingSubscriptionIpList",
        answers.ADDRESSES,
        "The addresses of all instances of the tree of a partition.",
        arguments.PARTITION,
    ),
    _get(
        "getSoftwareReleaseListFromSoftwareProduct",
        answers.RELEASE_URLS,
        "The releases of a product, the best one first.",
        arguments.RELEASE_QUESTION,
    ),
    _get(
        "getRunId",
        answers.SENTENCE,
        "A text that is the same as long as the process of the master lives.",
    ),
    _post(
        "requestComputer",
        answers.COMPUTER,
        "Registers a computer that has no partitions yet, once for each title.",
        arguments.COMPUTER_TITLE,
    ),
    _post(
        "generateComputerCertificate",
        answers.CERTIFICATE,
        "A new certificate and key of a computer that has none.",
        arguments.COMPUTER_ID,
    ),
    _post(
        "revokeComputerCertificate",
        _OK,
        "Revokes the certificate of a computer.",
        arguments.COMPUTER_ID,
    ),
    _post(
        "requestComputerPartition",
        answers.REQUESTED_INSTANCE,
        "Creates or changes an instance and says where it is and what it publishes.",
        arguments.INSTANCE_REQUEST,
    ),
    _post(
        "setComputerPartitionConnectionXml",
        _DONE,
        "Publishes the connection parameters of an instance.",
        arguments.PARTITION,
        arguments.CONNECTION_PARAMETERS,
        arguments.SPELLED_SHARED_REFERENCE,
    ),
    _post(
        "supplySupply",
        answers.SENTENCE,
        "Asks that a release be available on a computer, or removed from it.",
        arguments.INSTALLATION,
    ),
    _post(
        "buildingSoftwareRelease",
        _OK,
        "Reports that a release is being built.",
        *_SOFTWARE,
    ),
    _post(
        "availableSoftwareRelease", _OK, "Reports that a release is built.", *_SOFTWARE
    ),
    _post(
        "destroyedSoftwareRelease",
        _OK,
        "Reports that a release is removed, as wanted.",
        *_SOFTWARE,
    ),
    _post(
        "softwareReleaseError",
        _OK,
        "Reports that the build of a release failed.",
        *_SOFTWARE,
        arguments.ERROR_LOG,
    ),
    _post(
        "startedComputerPartition",
        _OK,
        "Reports that an instance runs, as wanted.",
        arguments.PARTITION,
    ),
    _post(
        "stoppedComputerPartition",
        _OK,
        "Reports that an instance is stopped, as wanted.",
        arguments.PARTITION,
    ),
    _post(
        "destroyedComputerPartition",
        answers.SENTENCE,
        "Reports that an instance is removed, as wanted; frees its partition or"
        " answers why not.",
        arguments.PARTITION,
    ),
    _post(
        "softwareInstanceError",
        _OK,
        "Reports that an instance failed.",
        arguments.PARTITION,
        arguments.ERROR_LOG,
        arguments.SHARED_REFERENCE,
    ),
    _post(
        "softwareInstanceBang",
        _OK,
        "Asks that every instance of a tree be processed again.",
        arguments.PARTITION,
        arguments.MESSAGE,
    ),
    _post(
        "computerBang",
        answers.EMPTY_DOCUMENT,
        "Asks that every instance of a computer be processed again.",
        arguments.COMPUTER_ID,
        arguments.MESSAGE,
    ),
    _post(
        "softwareInstanceRename",
        _DONE,
        "Gives an instance another title.",
        arguments.PARTITION,
        arguments.TITLE,
        arguments.SHARED_REFERENCE,
    ),
    _post(
        "loadComputerConfigurationFromXML",
        _DONE,
        "Defines a computer and its partitions.",
        arguments.DEFINITION,
    ),
    _post(
        "useComputer",
        _OK,
        "Delivers a document of usage, in the language TioXML.",
        arguments.COMPUTER_ID,
        arguments.USAGE_DOCUMENT,
    ),
    _post(
        "updateComputerPartitionRelatedInstanceList",
        _OK,
        "Reports which titles an instance requested in its last processing.",
        arguments.PARTITION,
        arguments.TITLES,
    ),
    _extension(
        "products", answers.PRODUCTS_REPORT, "Every software product and its releases."
    ),
    _extension(
        "product_add",
        answers.PRODUCT_REPORT,
        "Makes a release the best one of a product.",
        arguments.text("title"),
        arguments.text("software_release_url"),
    ),
    _extension(
        "product_remove",
        answers.PRODUCT_REPORT,
        "Takes a release from a product, or all of them.",
        arguments.text("title"),
        arguments.text_or_empty("software_release_url"),
    ),
    _extension("replicas", answers.REPLICAS_REPORT, "The replicas of the master."),
    _extension(
        "replica_forget",
        answers.REPLICAS_REPORT,
        "Tells nobody of a replica any more, until it starts again.",
        arguments.text("url"),
    ),
    _extension(
        "releases",
        answers.RELEASES_REPORT,
        "The releases that this replica serves by their fingerprints, and those of"
        " which it has a part.",
    ),
    _extension(
        "release_offer",
        answers.HELD_RELEASE,
        "Begins or ends to push a release to this replica: says which files it lacks,"
        " and serves it when it lacks none.",
        pushing.OFFER,
    ),
    _extension(
        "release_receive",
        answers.FILE_REPORT,
        "Takes a piece of a file of a release that was offered.",
        pushing.RELEASE_PIECE,
    ),
    _extension(
        "release_forget",
        answers.RELEASES_REPORT,
        "Removes a release that was pushed to this replica, unless it is supplied or"
        " an instance has it.",
        arguments.text("fingerprint"),
    ),
    _extension(
        "transfer",
        answers.TRANSFER_REPORT,
        "Whether the state is changed here, and how far one is that is received.",
    ),
    _extension(
        "freeze",
        answers.TRANSFER_REPORT,
        "Has nothing changed any more; answered when every change that was begun has"
        " ended.",
    ),
    _extension(
        "thaw",
        answers.TRANSFER_REPORT,
        "Has changes made again, of a state that was not moved after all.",
    ),
    _extension(
        "move",
        answers.TRANSFER_REPORT,
        "Leaves a frozen state to other replicas, for good: all who call are told of"
        " them.",
        transfer.SUCCESSORS,
    ),
    _extension(
        "receive",
        answers.TRANSFER_REPORT,
        "Takes a piece of a copy, of a master that has no state yet.",
        transfer.PIECE,
    ),
    _extension(
        "open",
        answers.TRANSFER_REPORT,
        "Begins to serve a state that was received whole.",
        arguments.text("digest"),
    ),
    _extension(
        "token",
        answers.SENTENCE,
        "A token for the certificate of one new computer, or of a person.",
        arguments.text("purpose"),
    ),
    _extension(
        "roots",
        answers.SENTENCE,
        "The root certificates of the cloud, in PEM: who has a token knows their"
        " digest.",
    ),
    _extension(
        "join",
        answers.ADMISSION,
        "Takes a token for the certificate of the computer of a title, whose key"
        " signed the request. The same key gets the same answer again.",
        arguments.text("token"),
        arguments.text("title"),
        arguments.CERTIFICATE_REQUEST,
    ),
    _extension(
        "renew",
        answers.SENTENCE,
        "The next certificate, with those of its issuers, of a computer, a replica or"
        " a link that has the key of its present one.",
        arguments.CHAIN,
        arguments.CERTIFICATE_REQUEST,
    ),
    _extension("status", answers.CLOUD_REPORT, "Every computer and instance tree."),
    _extension(
        "computer",
        answers.COMPUTER_REPORT,
        "A computer, its partitions and its releases.",
        arguments.COMPUTER_ID,
    ),
    _extension(
        "set_computer_attributes",
        answers.COMPUTER_REPORT,
        "Says what a computer is, for conditions on placement: a text sets an"
        " attribute, an empty one removes it, and the others stay.",
        arguments.COMPUTER_ID,
        arguments.ATTRIBUTES,
    ),
    _extension(
        "give_up_computer",
        answers.TREE_REPORT,
        "Says that a computer never comes back: it offers nothing any more, its"
        " certificate is revoked, and its instances are placed elsewhere. They are"
        " reported below its id; those still on it found no place.",
        arguments.COMPUTER_ID,
    ),
    _extension(
        "instance_tree",
        answers.TREE_REPORT,
        "The instances of a tree.",
        arguments.text("title"),
    ),
    _extension(
        "requested",
        answers.TREE_REPORT,
        "The instances that the one in a partition requested last, below the title of"
        " that one.",
        arguments.PARTITION,
    ),
    _extension(
        "why",
        answers.ALLOCATION_REPORT,
        "Why an instance is where it is, or nowhere.",
        arguments.text("title"),
        arguments.text_or_empty("root_title"),
    ),
    _extension(
        "usage",
        answers.USAGE_LIST,
        "The kept usage documents of a computer, some at a time.",
        arguments.COMPUTER_ID,
        usage.SINCE,
        arguments.text_or_empty("after"),
    ),
    _extension(
        "usage_document",
        answers.USAGE_REPORT,
        "A kept usage document, as it came and as it was understood.",
        arguments.COMPUTER_ID,
        arguments.text("document_id"),
    ),
)

METHODS: Mapping[str, Method] = MappingProxyType(
    {it.name: it for it in (*_TABLE, *RPC_TABLE)}
)


def render_reference() -> str:
    """Return the table as markdown, for the reference of the protocol."""
    lines = [
        "| method | verb | dialect | fields | argument names | answer | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for method in METHODS.values():
        fields = ", ".join(it for wanted in method.arguments for it in wanted.fields)
        names = ", ".join(wanted.name for wanted in method.arguments)
        cells = (
            f"`{method.name}`",
            method.verb,
            method.dialect.value,
            fields,
            names,
            method.answer.name,
            method.summary,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
