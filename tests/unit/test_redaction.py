"""What must not leave is masked wherever it stands; what an operator needs to read stays."""

import ast
import base64
import ipaddress
import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import ff_observe
from ff_observe.config.secret import MASK, Secret
from ff_observe.config.settings import (
    BackendSentrySettings,
    OtlpSettings,
    PingSettings,
    PlatformSettings,
    PostgreSQLDatabase,
    Settings,
)
from ff_observe.telemetry.redaction import Redactor, is_sensitive_key, known_secrets
from tests.pace import costing_at_most

REDACTOR = Redactor()


def jwt(claims: dict[str, object]) -> str:
    """A token of the form RFC 7519 gives it; what signs it does not matter here."""
    parts = (json.dumps({"alg": "ES256", "typ": "JWT"}), json.dumps(claims), "signature of sixty-four bytes")
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


LICENCE = jwt({"id": "8e1c", "sub": "Acme Ltd.", "users": 5})

SECRETS_BY_FORM = {
    "an e-mail address": ("jane.doe@example.org", "could not tell jane.doe@example.org about it"),
    "an e-mail address in a URL": ("jane%40example.org", "GET /users?name=jane%40example.org"),
    "an e-mail address with a sub-address": ("jane+ops@mail.example.co.uk", "<jane+ops@mail.example.co.uk>"),
    "an e-mail address with an apostrophe": ("O'Brien", "'O'Brien@example.org'"),
    "an IPv4 address": ("192.0.2.17", "connection to 192.0.2.17 refused"),
    "an IPv4 address with a port": ("192.0.2.17", "dial tcp 192.0.2.17:5432: refused"),
    "an IPv4 address at the end of a sentence": ("192.0.2.17", "It is 192.0.2.17."),
    "an IPv4 address in a host name": ("ip-10-0-0-1", "ip-10-0-0-1.ec2.internal"),
    "an IPv4 address after an underscore": ("10.0.0.1", "host_10.0.0.1"),
    "an IPv6 address": ("2001:db8::17", "connection to 2001:db8::17 refused"),
    "an IPv6 address with a port": ("2001:db8::17", "dial tcp [2001:db8::17]:5432: refused"),
    "an IPv6 address before a colon": ("2001:db8::17", "2001:db8::17: no route"),
    "an IPv6 address with a zone": ("fe80::1ff:fe23:4567:890a%eth0", "bind fe80::1ff:fe23:4567:890a%eth0"),
    "an IPv4 address mapped into IPv6": ("192.0.2.17", "from ::ffff:192.0.2.17"),
    "a licence": (LICENCE, f"license {LICENCE} has expired"),
    "a licence that was cut off": (LICENCE[:70], f"bad license {LICENCE[:70]}"),
    "a database URL": ("hunter2", "postgresql://flowforge:hunter2@db.internal:5432/flowforge is down"),
    "a password with an @ in a URL": ("hunt@er2", "postgresql://flowforge:hunt@er2@db.internal/flowforge"),
    "a password with a / in a URL": ("hunt/er2", "postgresql://flowforge:hunt/er2@db.internal/flowforge"),
    "a user without a password in a URL": ("0123456789abcdef", "https://0123456789abcdef@o1.ingest.sentry.io/42"),
    "a password of libpq": ("hunter2", "host=db.internal user=flowforge password=hunter2 dbname=flowforge"),
    "a quoted password of libpq": ("hunter 2", "user=flowforge password='hunter 2' dbname=flowforge"),
    "a password in Python": ("hunter 2", "{'user': 'flowforge', 'password': 'hunter 2'}"),
    "a password in JSON": ('hunter\\"2', '{"password": "hunter\\"2", "user": "flowforge"}'),
    "a password in JSON in JSON": ("hunter2", r'"{\"password\": \"hunter2\"}"'),
    "a password in YAML": ("hunter2", "db:\n  password: hunter2\n  host: db.internal"),
    "a password in the environment": ("hunter2", "PGPASSWORD=hunter2 psql"),
    "a header": ("Zm9vOmJhcg==", "Authorization: Basic Zm9vOmJhcg=="),
    "a cookie": ("0123abcd", "headers: Cookie: theme=dark; sid=0123abcd; lang=en"),
    "a cookie that is set": ("0123abcd", "Set-Cookie: sid=0123abcd; Path=/; HttpOnly"),
    "a cookie in Python": ("0123 abcd", "{'Cookie': 'sid=0123 abcd'}"),
    "a header without digits": ("dXNlcjpwYXNz", "Authorization: Basic dXNlcjpwYXNz"),
    "a header as an assignment": ("dXNlcjpwYXNz", "authorization=Basic dXNlcjpwYXNz; path=/"),
    "a header as a pair": ("dXNlcjpwYXNz", "('Proxy-Authorization', 'Basic dXNlcjpwYXNz')"),
    "a bearer token": ("abc123def456", "sent Bearer abc123def456 to it"),
    "a token of FlowFuse": ("ffpat_0123456789abcdefABCDEF", "token ffpat_0123456789abcdefABCDEF refused"),
    "a token of Sentry": ("sntrys_eyJpYXQiOjE3", "with sntrys_eyJpYXQiOjE3MDAwMDAwMDB9_abc"),
    "numbers that are no line and column": ("12:34", "password:12:34: refused"),
    "more than line and column behind a path": ("12:34:x", "/run/token:12:34:x refused"),
    "a private key": ("MIGHAgEA", "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----"),
}


@pytest.mark.parametrize("form", SECRETS_BY_FORM)
def test_a_secret_is_known_by_its_form(form: str) -> None:
    secret, text = SECRETS_BY_FORM[form]
    assert secret in text
    assert secret not in REDACTOR.text(text)
    assert MASK in REDACTOR.text(text)


@pytest.mark.parametrize(
    "text",
    [
        "FlowFuse 2.33.2 on Node.js 20.19.5",
        "flowfuse@2.33.2",
        "flowfuse@2.33.2-beta.rc1 is out",
        "at 12:30:05 and again at 2026-03-29T02:30:05.123456Z, 00:1b:44:11:3a:b7",
        "OID 1.3.6.1.4.1 and v1.2.3.4 and 999.1.2.3",
        "std::string, Settings::default()",
        "https://ping.flowforge.com/ping answered 503",
        "https://packages.example.org/@flowfuse/flowfuse",
        "telemetry.backend.sentry.dsn: write https://HOST/PROJECT-NUMBER, with KEY@ before HOST",
        "/etc/passwd:1:1: found a string; write a map",
        "/run/secrets/db-token:12:3: found nothing",
        "password authentication failed for user flowforge",
        'SELECT count(*) FILTER (WHERE "verified_email") FROM "Users"',
        "File ff_observe/lifecycle/periodic.py, line 57, in _run",
        "0123456789abcdef0123456789abcdef",
        "basic authentication is on",
        "the cookie: is it set?",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert REDACTOR.text(text) == text


def test_no_form_that_a_message_asks_for_looks_like_a_secret() -> None:
    """`https://KEY@HOST` would be shown without what is to be written."""
    package = Path(ff_observe.__file__).parent
    texts = [
        node.value
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "://" in node.value
    ]
    forms = [text for text in texts if "HOST" in text and "\n" not in text]
    assert len(forms) > 5
    assert [text for text in forms if Redactor(personal=False).text(text) != text] == []


def test_only_the_secret_part_of_a_text_goes() -> None:
    text = "postgresql://flowforge:hunter2@db.internal:5432/flowforge: refused"
    assert REDACTOR.text(text) == f"postgresql://{MASK}@db.internal:5432/flowforge: refused"
    assert REDACTOR.text("user=flowforge password=hunter2 dbname=x") == f"user=flowforge password={MASK} dbname=x"


def test_the_log_of_the_machine_itself_may_hold_addresses_but_no_credentials() -> None:
    redactor = Redactor(personal=False)
    assert redactor.text("listening on 127.0.0.1:10464 and [::1]:10464") == (
        "listening on 127.0.0.1:10464 and [::1]:10464"
    )
    assert redactor.text("https://key@127.0.0.1/1") == f"https://{MASK}@127.0.0.1/1"


def settings() -> Settings:
    return Settings(
        home=Path("/opt/flowforge"),
        file=Path("/opt/flowforge/etc/flowforge.yml"),
        database=PostgreSQLDatabase(password=Secret("correct horse/battery")),
        platform=PlatformSettings(license=Secret(LICENCE)),
        ping=PingSettings(url=Secret("https://pinger:ping%20pass@ping.example.org/ping")),
        backend_sentry=BackendSentrySettings(Secret("https://feedc0ffee@sentry.example.org/7")),
        otlp=OtlpSettings(headers=(("x-api-key", Secret("otlp-key-1")),)),
    )


def test_every_secret_of_the_settings_is_known_in_every_part() -> None:
    assert known_secrets(settings()) == {
        "correct horse/battery",
        LICENCE,
        "https://pinger:ping%20pass@ping.example.org/ping",
        "ping%20pass",
        "ping pass",
        "cGluZ2VyOnBpbmcgcGFzcw==",  # pinger:ping pass
        "https://feedc0ffee@sentry.example.org/7",
        "feedc0ffee",
        "ZmVlZGMwZmZlZTo=",  # feedc0ffee:
        "otlp-key-1",
    }


def test_the_key_of_a_dsn_is_secret_also_beside_the_secret_of_its_old_form() -> None:
    redactor = Redactor(known_secrets(Secret("https://feedc0ffee:5ecre7beef@sentry.example.org/7")))
    assert redactor.text("feedc0ffee and 5ecre7beef") == f"{MASK} and {MASK}"


def test_a_password_that_looks_like_a_url_is_a_secret() -> None:
    assert known_secrets(PostgreSQLDatabase(password=Secret("Xk29://dfk"))) == {"Xk29://dfk"}


def test_a_url_without_credentials_is_no_secret() -> None:
    assert known_secrets(replace(settings(), ping=PingSettings())) == known_secrets(settings()) - {
        "https://pinger:ping%20pass@ping.example.org/ping",
        "ping%20pass",
        "ping pass",
        "cGluZ2VyOnBpbmcgcGFzcw==",
    }


@pytest.mark.parametrize(
    ("url", "innocent"),
    [
        ("postgresql://collector:hunter22@127.0.0.1/pings", "ff_observe.collector: the collector listens"),
        ("postgresql://postgres:hunter22@127.0.0.1/pings", "the user postgres moved into postgresql"),
        ("postgresql://postgres@127.0.0.1/pings?sslmode=require", "postgres, with sslmode=require"),
        ("postgresql://127.0.0.1/pings?password=hunter22&application_name=collector", "the collector"),
        ("https://pinger:hunter22@ping.example.org/", "pinger"),
    ],
)
def test_a_user_and_the_parameters_of_a_database_are_no_secrets(url: str, innocent: str) -> None:
    redactor = Redactor(known_secrets(Secret(url)), personal=False)
    assert redactor.text(innocent) == innocent
    assert redactor.text("hunter22 hunter22") == ("hunter22 hunter22" if "hunter22" not in url else f"{MASK} {MASK}")


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("ping", "pinging with ping", "pinging with ping"),
        ("in", "log in: 'in' is not \"in\"", f"log in: '{MASK}' is not \"{MASK}\""),
        ("ab:c", "http://x:ab%3Ac@127.0.0.1", f"http://{MASK}@127.0.0.1"),
        ("postgres", "into postgresql by postgres", f"into postgresql by {MASK}"),
        ("flowforge", "/etc/flowforge.yml, 127.0.0.1/flowforge", f"/etc/flowforge.yml, 127.0.0.1/{MASK}"),
        ("collector", "ff_observe.collector.app", "ff_observe.collector.app"),
        ("node-red", "node-red-dashboard, my.node-red", "node-red-dashboard, my.node-red"),
        ("2.33.2", "version 2.33.21 and 12.33.2", "version 2.33.21 and 12.33.2"),
        ("hunter2", "ahunter2b", f"a{MASK}b"),
        ("correcthorsebattery", "xcorrecthorsebatteryx", f"x{MASK}x"),
    ],
)
def test_a_secret_that_may_be_a_word_does_not_tear_innocent_texts_apart(secret: str, text: str, expected: str) -> None:
    assert Redactor([secret], personal=False).text(text) == expected


_word = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)


@given(secret=_word, before=_word, after=_word, joint=st.sampled_from(["", "_"]))
def test_no_word_is_torn_apart(secret: str, before: str, after: str, joint: str) -> None:
    redactor = Redactor([secret], personal=False)
    for text in (before + joint + secret, secret + joint + after, before + joint + secret + joint + after):
        if text != secret:
            assert redactor.known(text) == text


@given(
    secret=_word.filter(lambda word: len(word) < 6 and word != "basic"),
    words=st.lists(_word.filter(lambda word: not word.endswith(("basic", "bearer")))),
)
def test_a_short_secret_leaves_prose_alone(secret: str, words: list[str]) -> None:
    prose = " ".join([secret, *words, secret])
    assert Redactor([secret], personal=False).text(prose) == prose


@given(secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip))
def test_no_secret_survives_where_a_credential_stands(secret: str) -> None:
    """The mask itself is no secret, nor is a part of it."""
    assume(secret.strip("*"))
    redactor = Redactor(known_secrets(Secret(secret)), personal=False)
    pair = base64.b64encode(f"user:{secret}".encode()).decode()
    sent = known_secrets(Secret(f"http://user:{quote(secret, safe='')}@127.0.0.1/"))
    assert pair not in Redactor(sent).text(f"got [Basic {pair}]")
    for place in ("'{}'", '"{}"', "a = ['{}']"):
        literal = repr(secret)[1:-1] if "'" in place else json.dumps(secret)[1:-1]
        assert redactor.text(place.format(literal)) == place.format(MASK)
    url = f"postgresql://user:{quote(secret, safe='')}@db"
    assert redactor.text(url) == f"postgresql://{MASK}@db"


def test_a_redactor_learns_more_secrets_and_forgets_none() -> None:
    redactor = Redactor(["first-secret-1"]).with_secrets(["second-secret-2"])
    assert redactor.text("first-secret-1 second-secret-2") == f"{MASK} {MASK}"


@pytest.mark.parametrize(
    "key", ["password", "dbPassword", "X-Api-Key", "SENTRY_DSN", "userEmail", "ip", "client_ip", "license", "Cookie"]
)
def test_what_stands_under_a_telling_key_is_masked_whatever_it_is(key: str) -> None:
    assert is_sensitive_key(key)
    assert REDACTOR.value({key: ["plain", {"deep": 1}]}) == {key: MASK}


@pytest.mark.parametrize("key", ["author", "shipping", "value", "filename", "thread", "release", "recipe"])
def test_a_harmless_key_hides_nothing(key: str) -> None:
    assert REDACTOR.value({key: "plain"}) == {key: "plain"}


# Any text around a secret, as long as it does not make another thing of it (1192.0.2.1 is no address).
_edges = st.sampled_from([" ", "\n", '"', "'", "(", "=", "<", ",", "["])
_ends = st.sampled_from([" ", "\n", '"', "'", ")", ",", ">", "]", ";"])
_prose = st.text(max_size=30)

_passwords = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=40).filter(
    lambda text: text.strip("*") == text and len(text.strip()) >= 6 and not text.isspace()
)
_jwts = st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4).map(lambda claims: jwt({**claims}))
_ipv4 = st.ip_addresses(v=4).map(str)
_ipv6 = st.ip_addresses(v=6).filter(lambda address: address != ipaddress.IPv6Address("::")).map(str)


def _nested(leaves: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=8), inner, max_size=3)
            | st.tuples(inner, inner)
        ),
        max_leaves=8,
    )


@given(data=st.data(), secret=st.one_of(_ipv4, _ipv6, _jwts, st.emails()))
def test_a_secret_in_any_structure_does_not_survive(data: st.DataObject, secret: str) -> None:
    planted = data.draw(st.builds("{}{}{}{}{}".format, _prose, _edges, st.just(secret), _ends, _prose))
    structure = data.draw(
        _nested(
            st.just(planted)
            | st.integers()
            | _prose
            | st.none()
            | st.dictionaries(st.just(planted), st.integers(), max_size=1)
        )
    )
    document = json.dumps(REDACTOR.value([structure, planted]), ensure_ascii=False)
    assert secret not in document
    assert json.dumps(secret, ensure_ascii=False)[1:-1] not in document


@given(password=_passwords, before=_prose, after=_prose)
def test_a_known_secret_does_not_survive(password: str, before: str, after: str) -> None:
    """What may be a word or a number stands apart from others; anything else, anywhere."""
    redactor = Redactor([password])
    if re.fullmatch(r"[A-Za-z\d._ /:-]{6,15}", password):
        before, after = f"{before} ", f" {after}"
    assert password not in redactor.text(before + password + after).replace(MASK, "")


@given(st.text(max_size=200))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = REDACTOR.text(text)
    assert REDACTOR.text(once) == once


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["2.33.2", "12:30:05", "core ping"]),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "thread", "value"]), inner),
    )
)
def test_a_structure_without_secrets_stays_as_it_is(structure: object) -> None:
    assert REDACTOR.value(structure) == structure


@pytest.mark.parametrize("unit", ["a", "@", ":", "1.", "://", "password", "eyJ", "a@", "-----BEGIN PRIVATE KEY-----"])
def test_a_long_text_is_redacted_in_reasonable_time(unit: str) -> None:
    with costing_at_most(60):
        REDACTOR.text(unit * (100_000 // len(unit)) + "@")
