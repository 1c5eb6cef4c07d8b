"""A master on loopback that answers as a test says, by the real codecs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread  # noqa: TID251 - recipes block, so their peer cannot
from typing import Any

from attrs import define, field

from slap.calls import Call, HttpAnswer, decode_call, encode_answer, encode_error
from slap.errors import SlapError

Answering = Callable[[Call], object]


@define
class LoopbackMaster:
    """``calls`` is what was asked; ``answering`` returns the answer or raises it."""

    url: str
    answering: Answering
    calls: list[Call] = field(factory=list)

    def answer(self, call: Call) -> HttpAnswer:
        self.calls.append(call)
        try:
            return encode_answer(call.method, self.answering(call))
        except SlapError as error:
            return encode_error(error)


@contextmanager
def serve(answering: Answering) -> Iterator[LoopbackMaster]:
    """Serve below the path ``/master`` until the block is left."""

    class Exchange(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            path, _, query = self.path.partition("?")
            assert path.startswith("/master/")
            call = decode_call(self.command, path, query, dict(self.headers), body)
            answer = master.answer(call)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Tests read ``calls``."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Exchange) as server:
        port = server.server_address[1]
        master = LoopbackMaster(f"http://127.0.0.1:{port}/master", answering)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield master
        finally:
            server.shutdown()
            thread.join()
