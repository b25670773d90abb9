"""Web configuration files: what each key becomes, and every mistake with its place. promtool is the second opinion."""

import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.errors import ConfigurationError
from ff_observe.web.security import WebSecurity, server_context
from ff_observe.web.web_config import CIPHER_SUITES, CURVES, TlsServerConfig, WebConfig, read_web_config
from tests.real_parts import prometheus
from tests.real_parts.certificates import make_certificate, require_x25519

HASH = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"  # of the toolkit's own example
TLS = "tls_server_config:\n  cert_file: certificate.pem\n  key_file: key.pem\n"
USERS = f"basic_auth_users:\n  alice: {HASH}\n"
VERIFIED = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: certificate.pem\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate and its key."""
    directory = tmp_path_factory.mktemp("web")
    make_certificate(directory)
    other = directory / "other"
    other.mkdir()
    make_certificate(other)
    return directory


def written(folder: Path, text: str) -> Path:
    file = folder / "web-config.yml"
    file.write_text(text)
    return file


def promtool_accepts(file: Path) -> bool:
    if prometheus.PROMTOOL is None:
        pytest.skip(prometheus.MISSING)
    return subprocess.run([prometheus.PROMTOOL, "check", "web-config", file], capture_output=True).returncode == 0


GOOD = {
    "nothing": "",
    "comments": "# nothing\n",
    "empty sections": "tls_server_config: {}\nbasic_auth_users:\nhttp_server_config: {}\n",
    "tls": TLS,
    "users": USERS,
    "2b": f"basic_auth_users: {{bob: '$2b$04{HASH[6:]}'}}\n",
    "clients": TLS + VERIFIED,
    "clients if given": TLS + VERIFIED.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"),
    "no clients": TLS + "  client_auth_type: NoClientCert\n",
    "empty client type": TLS + '  client_auth_type: ""\n',
    "versions": TLS + "  min_version: TLS13\n  max_version: TLS13\n",
    "suites": TLS + f"  cipher_suites: [{', '.join(CIPHER_SUITES)}]\n",
    "suites of 1.3": TLS + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  prefer_server_cipher_suites: false\n",
    **{curve: TLS + f"  curve_preferences: [{curve}]\n" for curve in CURVES},
    "http2": TLS + "http_server_config:\n  http2: true\n",
    "headers": "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    X-Content-Type-Options: nosniff\n"
    "    Strict-Transport-Security: max-age=3\n    X-XSS-Protection: ''\n    Content-Security-Policy: default-src *\n",
    "all": TLS + VERIFIED + USERS,
}

# Text, and what is wrong: line, column, key, words.
BAD: dict[str, tuple[str, int, int, str, str]] = {
    "unknown": ("foo: 1\n", 1, 1, "foo", "unknown key"),
    "unknown in tls": (TLS + "  certfile: x\n", 4, 3, "tls_server_config.certfile", 'did you mean "cert_file"?'),
    "list": ("- 1\n", 1, 1, "", "write a map"),
    "not yaml": ("a: [\n", 1, 4, "", "not YAML"),
    "section of text": ("tls_server_config: on\n", 1, 20, "tls_server_config", "write a map"),
    "no key": ("tls_server_config:\n  cert_file: certificate.pem\n", 2, 3, "tls_server_config.key_file", "missing"),
    "no cert": ("tls_server_config:\n  key_file: key.pem\n", 2, 3, "tls_server_config.cert_file", "missing"),
    "cert not there": (TLS.replace("certificate", "no"), 2, 14, "tls_server_config.cert_file", "no such file"),
    "cert of another": (
        TLS.replace("certificate", "other/certificate"),
        *(2, 14, "tls_server_config.cert_file", "do not belong together"),
    ),
    "cert is a key": (TLS.replace("certificate", "key"), 2, 14, "tls_server_config.cert_file", "PEM"),
    "client type": (TLS + "  client_auth_type: Foo\n", 4, 21, "tls_server_config.client_auth_type", "NoClientCert"),
    "ca unused": (TLS + "  client_ca_file: key.pem\n", 4, 19, "tls_server_config.client_ca_file", "without effect"),
    "version": (TLS + "  min_version: TLS14\n", 4, 16, "tls_server_config.min_version", '"TLS12" or "TLS13"'),
    "suite": (TLS + "  cipher_suites: [RC4]\n", 4, 19, "tls_server_config.cipher_suites", "known are: TLS_ECDHE"),
    "curve": (TLS + "  curve_preferences: [P256]\n", 4, 23, "tls_server_config.curve_preferences", "CurveP256"),
    "password": ("basic_auth_users:\n  alice: hush\n", 2, 10, "basic_auth_users.alice", "bcrypt hash"),
    "no password": ('basic_auth_users:\n  alice: ""\n', 2, 10, "basic_auth_users.alice", "bcrypt hash"),
    "cost": (f"basic_auth_users:\n  a: $2y$99{HASH[6:]}\n", 2, 6, "basic_auth_users.a", "from 4 to 18"),
    "frame": (
        "http_server_config:\n  headers:\n    X-Frame-Options: foo\n",
        *(3, 22, "http_server_config.headers.X-Frame-Options", '"deny" or "sameorigin"'),
    ),
    "header": ("http_server_config:\n  headers:\n    X-A: b\n", 3, 5, "http_server_config.headers.X-A", "unknown"),
}

# What promtool accepts, and is refused here.
STRICTER: dict[str, tuple[str, int, int, str, str]] = {
    "ca is a key": (TLS + VERIFIED.replace("certificate", "key"), 5, 19, "tls_server_config.client_ca_file", "PEM"),
    "any client": (
        TLS + "  client_auth_type: RequireAnyClientCert\n",
        *(4, 21, "tls_server_config.client_auth_type", "RequireAndVerifyClientCert"),
    ),
    "no ca": (
        TLS + "  client_auth_type: RequireAndVerifyClientCert\n",
        *(4, 21, "tls_server_config.client_auth_type", "client_ca_file"),
    ),
    "old version": (TLS + "  min_version: TLS10\n", 4, 16, "tls_server_config.min_version", '"TLS12" or "TLS13"'),
    "versions crossed": (
        TLS + "  min_version: TLS13\n  max_version: TLS12\n",
        *(4, 16, "tls_server_config.min_version", "above"),
    ),
    "tls without files": ("tls_server_config:\n  min_version: TLS12\n", 2, 3, "tls_server_config.cert_file", "missing"),
    "suites of 1.3 alone": (
        TLS + "  max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]\n",
        *(5, 18, "tls_server_config.cipher_suites", "max_version forbids"),
    ),
    "two curves": (
        TLS + "  curve_preferences: [X25519, CurveP256]\n",
        *(4, 22, "tls_server_config.curve_preferences", "keep one"),
    ),
    "colon": (f'basic_auth_users:\n  "a:b": {HASH}\n', 2, 10, "basic_auth_users.(user 1)", "colon"),
    "2x": (f"basic_auth_users:\n  a: $2x{HASH[3:]}\n", 2, 6, "basic_auth_users.a", "bcrypt hash"),
}

# Of newer versions of the toolkit: named as not supported rather than as unknown.
NEWER = {
    "tls_server_config.cert": TLS + "  cert: x\n",
    "tls_server_config.client_allowed_sans": TLS + "  client_allowed_sans: [a]\n",
    "rate_limit": "rate_limit: {interval: 1s, burst: 20}\n",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_is_accepted_as_promtool_does(name: str, folder: Path) -> None:
    if name == "X25519":
        require_x25519()
    file = written(folder, GOOD[name])
    WebSecurity(file, None)
    assert promtool_accepts(file)


@pytest.mark.parametrize("name", [*BAD, *STRICTER])
def test_a_mistake_is_named_with_its_place_its_key_and_what_to_write(name: str, folder: Path) -> None:
    text, line, column, key, says = {**BAD, **STRICTER}[name]
    file = written(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        WebSecurity(file, None)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line, problem.column, problem.key) == (str(file), line, column, key)
    assert says in problem.message
    assert "hush" not in str(caught.value)
    assert caught.value.exit_status == 78
    assert promtool_accepts(file) is (name in STRICTER)


@pytest.mark.parametrize("key", NEWER)
def test_what_is_not_supported_is_called_so(key: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"{key}: .*not supported"):
        read_web_config(written(folder, NEWER[key]))


def test_every_mistake_of_a_file_is_reported_at_once(folder: Path) -> None:
    text = "tls_server_config:\n  cert_file: [x]\n  min_version: 1\nbasic_auth_users: {a: b, c: d}\nfoo:\n"
    with pytest.raises(ConfigurationError) as caught:
        read_web_config(written(folder, text))
    assert [problem.line for problem in caught.value.problems] == [2, 2, 3, 4, 4, 5]


def test_every_key_reaches_its_setting(folder: Path) -> None:
    suites = "  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n  prefer_server_cipher_suites: false\n"
    file = written(folder, TLS + VERIFIED + suites + "  curve_preferences: [CurveP384]\n  max_version: TLS12\n" + USERS)
    config = read_web_config(file)
    assert config.tls == TlsServerConfig(
        cert_file=folder / "certificate.pem",
        key_file=folder / "key.pem",
        client_ca_file=folder / "certificate.pem",
        client_auth_type="RequireAndVerifyClientCert",
        min_version="TLS12",
        max_version="TLS12",
        cipher_suites=("ECDHE-RSA-AES128-GCM-SHA256",),
        curve="secp384r1",
        prefer_server_cipher_suites=False,
    )
    assert {name: hashed.reveal() for name, hashed in config.users.items()} == {"alice": HASH}


def test_the_context_offers_what_the_file_says(folder: Path) -> None:
    def context(text: str) -> ssl.SSLContext:
        config = read_web_config(written(folder, TLS + text))
        assert config.tls is not None
        return server_context(config, config.tls)

    assert context("").minimum_version == ssl.TLSVersion.TLSv1_2
    assert context("").verify_mode == ssl.CERT_NONE
    assert context("  max_version: TLS12\n").maximum_version == ssl.TLSVersion.TLSv1_2
    assert context("  cipher_suites: [TLS_AES_128_GCM_SHA256]\n").minimum_version == ssl.TLSVersion.TLSv1_3
    for suite, name in CIPHER_SUITES.items():
        if name is not None:
            offered = context(f"  cipher_suites: [{suite}]\n").get_ciphers()
            assert [each["name"] for each in offered if each["protocol"] != "TLSv1.3"] == [name]
    assert context(VERIFIED).verify_mode == ssl.CERT_REQUIRED
    assert context(VERIFIED.replace("RequireAnd", "").replace("Cert\n", "CertIfGiven\n")).verify_mode == (
        ssl.CERT_OPTIONAL
    )


def test_a_key_with_a_password_is_told_and_nobody_is_asked(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    encrypt = ["openssl", "pkey", "-in", "key.pem", "-aes128", "-passout", "pass:hush", "-out", "locked.pem"]
    subprocess.run(encrypt, cwd=tmp_path, check=True, capture_output=True)
    with pytest.raises(ConfigurationError, match="key without password"):
        WebSecurity(written(tmp_path, TLS.replace("key.pem", "locked.pem")), None)


_words = st.sampled_from(
    ["tls_server_config", "basic_auth_users", "cert_file", "client_auth_type", "headers", "http_server_config", "alice"]
) | st.text(max_size=8)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([HASH, "TLS12", "certificate.pem"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=4),
    max_leaves=12,
)


@given(st.text(max_size=200) | _values.map(lambda value: yaml.safe_dump(value, allow_unicode=True)))
def test_any_text_is_a_configuration_or_a_problem_with_a_place(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "web-config.yml")
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            said: object = read_web_config(file)
        except ConfigurationError as error:
            said = {problem.file for problem in error.problems}
        assert isinstance(said, WebConfig) or said == {str(file)}
