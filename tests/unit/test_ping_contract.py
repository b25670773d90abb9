"""The grammars of the contract: one rule for sender, receiver and schema, in which nobody can write a sentence."""

import re
import unicodedata
from re import _parser  # no public one knows how long a match can be

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ff_observe.catalogue.ping_contract import FIELDS, FLOWFUSE, RELEASE, Field, Grammar, json_schema
from ff_observe.collector.receiving.acceptance import Accepted, accept
from ff_observe.generate.ping_schema import schema
from tests.unit.collector.pings import body

TEXTS = [field for field in FIELDS if field.type is str]
of_each_text = pytest.mark.parametrize("field", TEXTS, ids=lambda field: field.dotted)


def grammar(field: Field) -> Grammar:
    assert field.grammar is not None, "every text has a grammar"
    return field.grammar


@of_each_text
def test_the_longest_text_is_as_long_as_said(field: Field) -> None:
    assert _parser.parse(grammar(field).pattern).getwidth()[1] == grammar(field).maximum


@of_each_text
@settings(max_examples=30)
@given(data=st.data())
def test_a_text_of_the_grammar_is_printable_ascii_without_spaces(field: Field, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(re.compile(grammar(field).pattern, re.ASCII), fullmatch=True))
    assert re.fullmatch("[!-~]*", text)
    assert unicodedata.is_normalized("NFC", text)
    assert field.accepts(text)


JUNK = st.text(max_size=40) | st.sampled_from(
    [
        *(
            "203.0.113.77",
            "alice@bank.example",
            "buy this",
            "a\u202eb",
            "a\u2066b",
            "a\nb",
            "2.33.2\n",
            "CE\n",
            "e\u0301",
        ),
        *("2.33.2", "2.33.2-git", "v20.20.2", "Linux", "x64", "6.1.0-18-amd64", "kubernetes", "CE", ""),
    ]
)


@of_each_text
@settings(max_examples=60)
@given(text=JUNK)
def test_sender_receiver_and_schemas_agree_on_every_text(field: Field, text: str) -> None:
    accepted = field.accepts(text)
    ping: dict[str, object] = {"instanceId": "82463421-a75b-4e60-bfae-daed66ac3a35"}
    place = ping
    for key in field.path[:-1]:
        place = place.setdefault(key, {})  # type: ignore[assignment]  # a map by the path
    place[field.path[-1]] = text
    assert isinstance(accept(body(**{"__".join(field.path): text})), Accepted) == accepted
    for rules in (schema(), json_schema()):
        assert jsonschema_rs.Draft202012Validator(rules).is_valid(ping) == accepted


@pytest.mark.parametrize(
    "release",
    [
        *("6.1.0-18-amd64", "5.15.153.1-microsoft-standard-WSL2", "10.0.19045", "23.4.0", "5.10.0+", "13.2-RELEASE-p3"),
        *("4.14.336-253.554.amzn2.x86_64", "5.4.17-2136.315.5.el7uek.x86_64", "6.6.12-linuxkit", "6.1.0-rpi7-rpi-v8"),
    ],
)
def test_releases_of_real_kernels_fit(release: str) -> None:
    assert RELEASE.fits(release)


@pytest.mark.parametrize("version", ["2.33.2", "2.33.2-git", "2.4.1-6f1d7c2-202405171030.0", "3.0.0-rc.1+build.5"])
def test_versions_as_flowfuse_writes_them_fit(version: str) -> None:
    """The version of its package.json, or npm's, with `-git` in a working copy; nightly builds are pre-releases."""
    assert FLOWFUSE.fits(version)
