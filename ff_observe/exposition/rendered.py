"""The expositions of one moment, each rendered and compressed at most once, as HTTP answers.

Which format and content coding a request asks for: RFC 9110, sections 12.5.1 and 12.5.3.
"""

import gzip
from collections.abc import Callable, Iterator
from typing import Final

from ff_observe.exposition.formats import Escaping, Form, Format
from ff_observe.http.messages import Answer, answer

_OPENMETRICS = "application/openmetrics-text"
_TEXT = "text/plain"
_FORMATS: Final = {
    (_OPENMETRICS, "2.0.0"): Format.OPENMETRICS_2_0_0,
    (_OPENMETRICS, "1.0.0"): Format.OPENMETRICS_1_0_0,
    (_OPENMETRICS, None): Format.OPENMETRICS_1_0_0,
    (_TEXT, "1.0.0"): Format.TEXT_1_0_0,
    (_TEXT, "0.0.4"): Format.TEXT_0_0_4,
    (_TEXT, None): Format.TEXT_0_0_4,
}
"""By name and version: without a version the oldest, as OpenMetrics 2.0 asks. Before 1.0.0 it was a draft."""

LONGEST_HEADER: Final = 1024
"""Bytes; Prometheus' `Accept` has some 250. A longer header counts as absent, so that parsing stays cheap."""


def negotiate(accept: bytes) -> Form:
    """The form for an `Accept` header (empty where there is none).

    Of the formats named, the one with the highest quality wins, then the one named first. Wildcards, anything unknown
    and unreadable headers get text 0.0.4, which every scraper and browser takes: an answer is better than a 406.
    """
    best, best_quality = Form(Format.TEXT_0_0_4), 0.0
    for name, parameters in _elements(accept):
        exposition_format = _FORMATS.get((name, parameters.get("version")))
        quality = _quality(parameters)
        if exposition_format is not None and quality > best_quality:
            best, best_quality = Form(exposition_format, _escaping(exposition_format, parameters)), quality
    return best


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether an `Accept-Encoding` header (empty where there is none) allows gzip."""
    qualities = {name: _quality(parameters) for name, parameters in _elements(accept_encoding)}
    return qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0))) > 0.0


def _escaping(exposition_format: Format, parameters: dict[str, str]) -> Escaping | None:
    """The scheme for names that an element asks for: underscores where it is unknown, as Prometheus' libraries answer.
    OpenMetrics without one was asked for by scrapers that know none.
    """
    asked = parameters.get("escaping")
    if exposition_format is Format.TEXT_0_0_4 or (asked is None and exposition_format.is_openmetrics):
        return None
    return Escaping(asked) if asked in set(Escaping) else Escaping.UNDERSCORES


def _elements(header: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    """The comma-separated elements of a header, as lower-case name and parameters."""
    if len(header) > LONGEST_HEADER:
        return
    for element in header.decode("latin-1").split(","):
        name, *parameters = element.split(";")
        pairs = (parameter.partition("=") for parameter in parameters)
        yield name.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def _quality(parameters: dict[str, str]) -> float:
    """The weight of an element, 0 to 1; 0 (not acceptable) if it is no number."""
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0


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
