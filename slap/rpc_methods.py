"""Core. The methods of JSON-RPC v0, which the web panel of SlapOS speaks."""

from __future__ import annotations

from slap import rpc_answers, rpc_arguments
from slap.answers import Answer
from slap.arguments import Argument
from slap.method import RPC, Dialect, Method


def _row(name: str, answer: Answer, summary: str, *wanted: Argument) -> Method:
    return Method(RPC + name, "POST", Dialect.RPC, wanted, answer, summary)


_SOFTWARE = (rpc_arguments.SOFTWARE_RELEASE_URL, rpc_arguments.COMPUTER_ID)

RPC_TABLE = (
    _row(
        "allDocs.v0.compute_node_instance_list",
        rpc_answers.INSTANCES,
        "The instances of a computer.",
        rpc_arguments.COMPUTER_ID,
    ),
    _row(
        "allDocs.v0.compute_node_software_installation_list",
        rpc_answers.INSTALLATIONS,
        "The releases supplied to a computer.",
        rpc_arguments.COMPUTER_ID,
    ),
    _row(
        "allDocs.v0.instance_node_instance_list",
        rpc_answers.HOSTED_INSTANCES,
        "The shared instances of a host.",
        rpc_arguments.INSTANCE_GUID,
    ),
    _row(
        "allDocs.v0.instance_tree_list",
        rpc_answers.TREE_TITLES,
        "The titles of the instance trees.",
    ),
    _row(
        "allDocs.WIP.compute_node_list",
        rpc_answers.COMPUTER_IDS,
        "The computers; others call this one an experiment.",
    ),
    _row(
        "get.v0.compute_node_status",
        rpc_answers.STATUS_TEXT,
        "What was last heard of a computer.",
        rpc_arguments.COMPUTER_ID,
    ),
    _row(
        "get.v0.compute_partition",
        rpc_answers.INSTANCE,
        "The instance in a partition.",
        rpc_arguments.PARTITION,
    ),
    _row(
        "get.v0.software_instance",
        rpc_answers.INSTANCE,
        "An instance.",
        rpc_arguments.INSTANCE_GUID,
    ),
    _row(
        "get.v0.instance_tree",
        rpc_answers.INSTANCE,
        "The root of a tree.",
        rpc_arguments.TREE_TITLE,
    ),
    _row(
        "get.v0.hateoas_url",
        rpc_answers.HATEOAS_URL,
        "Where documents for people are found.",
    ),
    _row(
        "get.v0.software_instance_certificate",
        rpc_answers.CERTIFICATE,
        "The certificate and key of an instance.",
        rpc_arguments.INSTANCE_GUID,
    ),
    _row(
        "post.v0.compute_node_certificate",
        rpc_answers.CERTIFICATE,
        "Issues a certificate to a computer that has none.",
        rpc_arguments.COMPUTER_ID,
    ),
    _row(
        "remove.v0.compute_node_certificate",
        rpc_answers.DONE,
        "Revokes the certificate of a computer.",
        rpc_arguments.COMPUTER_ID,
    ),
    _row(
        "post.v0.compute_node_usage",
        rpc_answers.DONE,
        "Delivers a document of usage, in the language TioXML.",
        rpc_arguments.COMPUTER_ID,
        rpc_arguments.USAGE_DOCUMENT,
    ),
    _row(
        "post.v0.software_installation",
        rpc_answers.DONE,
        "Asks that a release be available on a computer, or removed from it.",
        rpc_arguments.INSTALLATION,
    ),
    _row(
        "post.v0.software_instance",
        rpc_answers.REQUESTED_INSTANCE,
        "Creates or changes an instance.",
        rpc_arguments.INSTANCE_REQUEST,
    ),
    _row(
        "put.v0.compute_node_bang",
        rpc_answers.DONE,
        "Asks that every instance of a computer be processed again.",
        rpc_arguments.COMPUTER_ID,
        rpc_arguments.MESSAGE,
    ),
    _row(
        "put.v0.compute_node_format",
        rpc_answers.DONE,
        "Defines a computer and its partitions.",
        rpc_arguments.DEFINITION,
    ),
    _row(
        "put.v0.software_installation_error",
        rpc_answers.DONE,
        "Reports that the build of a release failed.",
        *_SOFTWARE,
        rpc_arguments.MESSAGE,
    ),
    _row(
        "put.v0.software_installation_reported_state",
        rpc_answers.DONE,
        "Reports that a release is being built, is built, or is removed.",
        *_SOFTWARE,
        rpc_arguments.INSTALLATION_REPORTED_STATE,
    ),
    _row(
        "put.v0.software_instance_bang",
        rpc_answers.DONE,
        "Asks that every instance of a tree be processed again.",
        rpc_arguments.INSTANCE_GUID,
        rpc_arguments.MESSAGE,
    ),
    _row(
        "put.v0.software_instance_connection_parameter",
        rpc_answers.DONE,
        "Publishes the connection parameters of an instance.",
        rpc_arguments.INSTANCE_GUID,
        rpc_arguments.CONNECTION_PARAMETERS,
    ),
    _row(
        "put.v0.software_instance_error",
        rpc_answers.DONE,
        "Reports that an instance failed.",
        rpc_arguments.INSTANCE_GUID,
        rpc_arguments.MESSAGE,
    ),
    _row(
        "put.v0.software_instance_reported_state",
        rpc_answers.DONE,
        "Reports that an instance runs, is stopped, or is removed.",
        rpc_arguments.INSTANCE_GUID,
        rpc_arguments.REPORTED_STATE,
    ),
    _row(
        "put.v0.software_instance_title",
        rpc_answers.DONE,
        "Gives an instance another title.",
        rpc_arguments.INSTANCE_GUID,
        rpc_arguments.NEW_TITLE,
    ),
)
