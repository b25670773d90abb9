"""Which format and coding a scraper gets for what it asks. The headers are those that real scrapers send."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.catalogue import METRICS
from ff_observe.exposition.formats import Format
from ff_observe.exposition.rendered import accepts_gzip, negotiate

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7," + PROMETHEUS_3
)
PROMETHEUS_3_14 = (
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.3"
)
VICTORIA_METRICS = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

ACCEPTED = {
    PROMETHEUS_2: Format.OPENMETRICS_1_0_0,
    PROMETHEUS_3: Format.OPENMETRICS_1_0_0,
    PROMETHEUS_3_WITH_PROTOBUF: Format.OPENMETRICS_1_0_0,
    PROMETHEUS_3_14: Format.TEXT_1_0_0,
    VICTORIA_METRICS: Format.TEXT_0_0_4,
    BROWSER: Format.TEXT_0_0_4,
    "": Format.TEXT_0_0_4,
    "*/*": Format.TEXT_0_0_4,
    "text/plain": Format.TEXT_0_0_4,
    "text/*": Format.TEXT_0_0_4,
    "text/plain; version=1.0.0; charset=utf-8": Format.TEXT_1_0_0,
    'TEXT/Plain ; Version="1.0.0"': Format.TEXT_1_0_0,
    "application/openmetrics-text": Format.OPENMETRICS_1_0_0,
    "application/openmetrics-text; version=1.0.0; charset=utf-8": Format.OPENMETRICS_1_0_0,
    "application/openmetrics-text;version=0.0.1": Format.TEXT_0_0_4,
    "application/openmetrics-text;version=2.0.0": Format.OPENMETRICS_2_0_0,
    "application/openmetrics-text;version=2.0.0;q=0.7,application/openmetrics-text": Format.OPENMETRICS_1_0_0,
    "application/openmetrics-text;version=2.1.0": Format.TEXT_0_0_4,
    "application/openmetrics-text;version=1.0.0;q=0,text/plain;version=1.0.0;q=0.1": Format.TEXT_1_0_0,
    "application/openmetrics-text;q=high": Format.TEXT_0_0_4,
    "application/openmetrics-text;q=nan": Format.TEXT_0_0_4,
    "application/json": Format.TEXT_0_0_4,
    ";;,,=;q": Format.TEXT_0_0_4,
}


@pytest.mark.parametrize(("accept", "expected"), ACCEPTED.items())
def test_a_scraper_gets_the_format_it_prefers(accept: str, expected: Format) -> None:
    assert negotiate(accept.encode()).format is expected


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
        (PROMETHEUS_3_14, "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
        (PROMETHEUS_2, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text;version=2.0.0", "application/openmetrics-text; version=2.0.0; charset=utf-8"),
        (
            "application/openmetrics-text;version=2.0.0;escaping=values",
            "application/openmetrics-text; version=2.0.0; charset=utf-8; escaping=values",
        ),
        (VICTORIA_METRICS, "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=values", "text/plain; version=1.0.0; charset=utf-8; escaping=values"),
        ("text/plain;version=1.0.0;escaping=dots", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=x\r\ny", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
        ("text/plain;version=0.0.4;escaping=values", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_answer_names_the_escaping_that_was_asked_for(accept: str, content_type: str) -> None:
    assert negotiate(accept.encode()).content_type == content_type


def test_no_name_of_ours_needs_to_be_escaped() -> None:
    """So that the bytes are the same under each scheme that is answered."""
    for metric in METRICS:
        for name in (metric.name, *metric.labels):
            assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name)


def test_of_two_formats_with_the_same_quality_the_first_is_given() -> None:
    assert negotiate(b"text/plain;version=1.0.0,application/openmetrics-text").format is Format.TEXT_1_0_0
    assert negotiate(b"application/openmetrics-text,text/plain;version=1.0.0").format is Format.OPENMETRICS_1_0_0


@pytest.mark.parametrize("accept_encoding", ["gzip", "deflate, gzip;q=0.5", "x-gzip", "*", "GZIP", "identity;q=0,gzip"])
def test_gzip_is_used_where_it_is_accepted(accept_encoding: str) -> None:
    assert accepts_gzip(accept_encoding.encode())


@pytest.mark.parametrize("accept_encoding", ["", "identity", "gzip;q=0", "*;q=0", "gzip;q=0, *", "br, zstd", "gzipped"])
def test_gzip_is_not_used_where_it_is_not_accepted(accept_encoding: str) -> None:
    assert not accepts_gzip(accept_encoding.encode())


FRAGMENTS = st.sampled_from([
    "application/openmetrics-text", "text/plain", "gzip", "*/*", ";", ",", "=", "q=", "version=", "escaping=",
    "1.0.0", "2.0.0", "0.5", '"', " ",
])  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(FRAGMENTS, max_size=30).map(lambda parts: "".join(parts).encode())))
def test_no_header_whatever_is_an_error(header: bytes) -> None:
    assert negotiate(header).format in Format
    assert accepts_gzip(header) in (True, False)


@given(st.lists(st.sampled_from(list(Format)), unique=True, min_size=1), st.randoms())
def test_the_highest_quality_wins_in_any_order(formats: list[Format], random: object) -> None:
    names = {
        Format.TEXT_0_0_4: "text/plain;version=0.0.4",
        Format.TEXT_1_0_0: "text/plain;version=1.0.0",
        Format.OPENMETRICS_1_0_0: "application/openmetrics-text;version=1.0.0",
        Format.OPENMETRICS_2_0_0: "application/openmetrics-text;version=2.0.0",
    }
    elements = [f"{names[wanted]};q={1 - place / 10:.1f}" for place, wanted in enumerate(formats)]
    random.shuffle(elements)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert negotiate(", ".join(elements).encode()).format is formats[0]
