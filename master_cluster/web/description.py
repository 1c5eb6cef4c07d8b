"""Shell. The description of the JSON methods, as a document of OpenAPI."""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated.

from __future__ import annotations

from http import HTTPStatus

from twisted.web.resource import Resource
from twisted.web.server import Request

from master_cluster.web.replying import set_head
from slap.answers import JSON
from slap.calls import HttpAnswer, encode_error
from slap.errors import MethodNotAllowed
from slap.openapi import encode_openapi


class Description(Resource):
    """The document, which is the same as long as the process lives."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        headers = {"Content-Type": JSON}
        self._answer = HttpAnswer(HTTPStatus.OK.value, headers, encode_openapi())

    def render(self, request: Request) -> bytes:
        if request.method not in (b"GET", b"HEAD"):
            refusal = MethodNotAllowed("the description is read with GET", "GET, HEAD")
            return set_head(request, encode_error(refusal))
        body = set_head(request, self._answer)
        return b"" if request.method == b"HEAD" else body
