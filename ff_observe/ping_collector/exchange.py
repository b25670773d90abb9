"""One request and its answer on a connection: uvicorn's, less what the collector's answers never need."""

from functools import lru_cache
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


@lru_cache(maxsize=128)
def _rendered(status: int, headers: tuple[tuple[bytes, bytes], ...], keep_alive: bool) -> tuple[bytes, bool]:
    """The head of an answer as it goes out, and whether the connection is kept."""
    keep_alive = keep_alive and (b"connection", b"close") not in headers
    lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode("ascii"))]
    lines += [name + b": " + value for name, value in headers if name != b"connection"]
    if not keep_alive:
        lines.append(b"connection: close")
    assert not any(b"\r" in line or b"\n" in line for line in lines), "a header of ours would begin another"
    return b"\r\n".join([*lines, b"", b""]), keep_alive


class Exchange(RequestResponseCycle):
    """One request and its answer, which comes whole, as all of ours do, with its length: it leaves in one write (and
    packet) instead of two, and its head is made once for all that are alike."""

    _rendered: tuple[bytes, bool]

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self.response_started = True
            headers = (*self.default_headers, *message["headers"])
            self._rendered = _rendered(message["status"], headers, self.keep_alive)
            return
        head, self.keep_alive = self._rendered
        self.transport.write(head if self.scope["method"] == "HEAD" else head + message["body"])
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    async def receive(self) -> Any:
        """As uvicorn does it, but reads on only for a body that is still to come: what else would be read are further
        requests, more for each that is answered."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            if self.more_body:
                self.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}
