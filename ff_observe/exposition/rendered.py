"""The expositions of one moment, each rendered and compressed at most once, as HTTP answers."""

import gzip
from collections.abc import Callable

from ff_observe.exposition.formats import Form, Format
from ff_observe.exposition.negotiation import accepts_gzip, negotiate
from ff_observe.http.messages import Answer, answer

_MOST_HEADERS_KEPT = 64  # scrapers are few and always send the same headers
_VARY = (b"vary", b"accept, accept-encoding")


class Rendered:
    """`render` is called at most once for each format. For one thread at a time."""

    def __init__(self, render: Callable[[Format], bytes]) -> None:
        self._render = render
        self._by_headers: dict[tuple[bytes, bytes], Answer] = {}
        self._by_form: dict[tuple[Form, bool], Answer] = {}

    def answer(self, accept: bytes, accept_encoding: bytes) -> Answer:
        """The exposition that the two headers ask for (empty if absent)."""
        found = self._by_headers.get((accept, accept_encoding))
        if found is None:
            found = self._in_form(negotiate(accept), accepts_gzip(accept_encoding))
            if len(self._by_headers) >= _MOST_HEADERS_KEPT:
                self._by_headers.clear()
            self._by_headers[accept, accept_encoding] = found
        return found

    def _in_form(self, form: Form, compressed: bool) -> Answer:
        found = self._by_form.get((form, compressed))
        if found is None:
            if compressed:
                body = gzip.compress(self._in_form(form, compressed=False).body, 5, mtime=0)
                found = answer(200, form.content_type, body, _VARY, (b"content-encoding", b"gzip"))
            else:
                found = answer(200, form.content_type, self._render(form.format), _VARY)
            self._by_form[form, compressed] = found
        return found
