"""Which of the environment and `.env` says where source maps go; values never show."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.errors import SourceMapsError
from ff_observe.source_maps.credentials import gather_variables, read_credentials, read_dotenv

FULL = {"SENTRY_AUTH_TOKEN": "planted-token", "SENTRY_ORG": "o", "SENTRY_PROJECT": "p"}


def test_the_environment_wins_over_the_file_unless_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SENTRY_ORG=of-file\nSENTRY_PROJECT=of-file\nSENTRY_URL=https://file.test\n")
    gathered = gather_variables({"SENTRY_ORG": "of-environment", "SENTRY_PROJECT": ""}, tmp_path)
    assert gathered == {
        "SENTRY_ORG": "of-environment",
        "SENTRY_PROJECT": "of-file",
        "SENTRY_URL": "https://file.test",
    }


@pytest.mark.parametrize("name", ["SENTRY_AUTH_TOKEN", "SENTRY_AUTH_TOKEN_FILE"])
def test_a_token_of_the_environment_wins_however_the_two_name_theirs(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text("SENTRY_AUTH_TOKEN=of-file\nSENTRY_AUTH_TOKEN_FILE=of-file\n")
    assert gather_variables({name: "of-environment"}, tmp_path) == {name: "of-environment"}


# Expected values are those of dotenv 16, the package FlowFuse's build reads its .env with.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("  export A = b  ", "b"),
        ("A=b # comment", "b"),
        ("A=b#c", "b"),
        ("A='b", "'b"),
        ('A="b\\"c"', 'b\\"c'),
        ('A="b"c', '"b"c'),
        ('A="b\\tc"', "b\\tc"),
        ("A='b # c'", "b # c"),
        ('A="b\\nc"', "b\nc"),
        ("A='b\\nc'", "b\\nc"),
        ('A="line 1\nline 2"', "line 1\nline 2"),
        ('A=`it\'s "quoted"`', 'it\'s "quoted"'),
        ("A=", ""),
        ("A=first\nA=second", "second"),
        ("A=b\r\nB=c\r\n", "b"),
        ("\ufeffA=b", "b"),
        ("# A=c\nA=b", "b"),
        ('A="b" # comment', "b"),
        ("A=b=c==", "b=c=="),
    ],
)
def test_a_dotenv_file_is_read_as_node_reads_it(text: str, value: str) -> None:
    assert read_dotenv(text)["A"] == value


@given(st.text())
def test_no_text_breaks_the_reading_of_a_dotenv_file(text: str) -> None:
    assert all(isinstance(value, str) for value in read_dotenv(text).values())


def test_no_token_is_no_credentials() -> None:
    assert read_credentials({**FULL, "SENTRY_AUTH_TOKEN": " "}) is None


def test_the_token_may_be_in_a_file_and_never_shows(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("planted-token\n")
    found = read_credentials({**FULL, "SENTRY_AUTH_TOKEN": "", "SENTRY_AUTH_TOKEN_FILE": str(tmp_path / "token")})
    assert found is not None
    assert found.token.reveal() == "planted-token"
    assert "planted" not in repr(found)
    assert found.url == "https://sentry.io"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SENTRY_ORG": ""}, "SENTRY_ORG is not"),
        ({"SENTRY_ORG": "", "SENTRY_PROJECT": ""}, "SENTRY_ORG and SENTRY_PROJECT is not"),
        ({"SENTRY_URL": "sentry.example.com"}, "SENTRY_URL is not a URL"),
        ({"SENTRY_URL": "https://planted:planted@sentry.example.com"}, "SENTRY_URL is not a URL"),
        ({"SENTRY_AUTH_TOKEN": "sntrys_planted", "SENTRY_ORG": ""}, "SENTRY_ORG is not"),
        ({"SENTRY_AUTH_TOKEN": "", "SENTRY_AUTH_TOKEN_FILE": "/absent"}, "names /absent, which cannot be read"),
        ({"SENTRY_AUTH_TOKEN": "", "SENTRY_AUTH_TOKEN_FILE": "/dev/null"}, "names /dev/null, which is empty"),
    ],
)
def test_a_token_without_the_rest_is_an_error(change: dict[str, str], message: str) -> None:
    with pytest.raises(SourceMapsError, match=message) as raised:
        read_credentials({**FULL, **change})
    assert "planted" not in str(raised.value)


def token_of(**said: object) -> str:
    """A token of an organisation, in the form Sentry gives them out."""
    payload = base64.b64encode(json.dumps({"iat": 1700000000.0, **said}).encode()).decode()
    return f"sntrys_{payload}_{base64.b64encode(b'planted' * 4).decode().rstrip('=')}"


@pytest.mark.parametrize("also", [{}, {"SENTRY_ORG": "acme", "SENTRY_URL": "https://sentry.test"}])
def test_a_token_of_an_organisation_says_where_it_belongs(also: dict[str, str]) -> None:
    token = token_of(url="https://sentry.test/", region_url="https://eu.sentry.test", org="acme")
    found = read_credentials({"SENTRY_AUTH_TOKEN": token, "SENTRY_PROJECT": "p", **also})
    assert found is not None
    assert (found.organisation, found.url) == ("acme", "https://sentry.test")


@pytest.mark.parametrize("wrong", [{"SENTRY_ORG": "other"}, {"SENTRY_URL": "https://sentry.lan"}])
def test_what_contradicts_the_token_is_an_error_for_sentry_cli_would_obey_the_token(wrong: dict[str, str]) -> None:
    token = token_of(url="https://sentry.test", org="acme")
    [(name, value)] = wrong.items()
    with pytest.raises(SourceMapsError, match=f"{name} is {value}, but the token is for (acme|https://sentry.test),"):
        read_credentials({"SENTRY_AUTH_TOKEN": token, "SENTRY_PROJECT": "p", **wrong})


@pytest.mark.parametrize("payload", ["", "e30", "W10=", "bnVsbA==", "eyJvcmciOiAxLCAidXJsIjogIiJ9", "é", "[["])
def test_a_token_that_says_nothing_readable_is_an_ordinary_one(payload: str) -> None:
    found = read_credentials({**FULL, "SENTRY_AUTH_TOKEN": f"sntrys_{payload}_x"})
    assert found is not None
    assert (found.organisation, found.url) == ("o", "https://sentry.io")


def test_a_dotenv_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    with pytest.raises(SourceMapsError, match=r"\.env cannot be read"):
        gather_variables({}, tmp_path)
