"""Licences: which are accepted, what they allow, and that nothing of them shows. (Recorded ones: tests/contract.)"""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.platform.sources import licence
from ff_observe.platform.sources.licence import LicenceError, verify_licence

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLAIMS: dict[str, Any] = {
    "id": "1234",
    "iss": "FlowForge Inc.",
    "sub": "Example Ltd",
    "nbf": int((AT - timedelta(days=1)).timestamp()),
    "exp": int((AT + timedelta(days=30)).timestamp()),
    "users": 150,
    "teams": 50,
    "instances": 100,
    "tier": "enterprise",
}
PRODUCTION, DEVELOPMENT, STRANGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))


def public(key: ec.EllipticCurvePrivateKey) -> str:
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


@pytest.fixture(autouse=True)
def own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """FlowFuse's signing keys are FlowFuse's; the tests sign with their own."""
    monkeypatch.setattr(licence, "_PRODUCTION_KEY", public(PRODUCTION))
    monkeypatch.setattr(licence, "_DEVELOPMENT_KEY", public(DEVELOPMENT))


def signed(key: Any = PRODUCTION, algorithm: str = "ES256", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}
    return jwt.encode(claims, key, algorithm)


def test_a_licence_of_the_production_key_is_an_enterprise_licence() -> None:
    found = verify_licence(signed(), AT)
    assert (found.id, found.type, found.tier, found.combined) == ("1234", "EE", "enterprise", True)
    assert found.expires_at == AT + timedelta(days=30)
    assert found.limits == {"users": 150, "teams": 50, "instances": 100, "mqtt_clients": 20}


def test_a_licence_of_the_development_key_is_one_for_development_whatever_it_says() -> None:
    assert verify_licence(signed(DEVELOPMENT, dev=False), AT).type == "DEV"
    assert verify_licence(signed(dev=True), AT).type == "DEV"


def test_the_id_may_stand_in_either_claim_or_be_missing() -> None:
    assert verify_licence(signed(id=..., licenseId="abc"), AT).id == "abc"
    assert verify_licence(signed(id=...), AT).id == ""


def test_an_expired_licence_is_still_a_licence() -> None:
    assert verify_licence(signed(exp=CLAIMS["nbf"]), AT + timedelta(days=900)).id == "1234"


def test_a_licence_is_refused_before_it_begins_and_accepted_from_then_on() -> None:
    token = signed(nbf=int(AT.timestamp()))
    with pytest.raises(LicenceError, match=r"^the licence is not valid before 2026-11-23 12:00 UTC$"):
        verify_licence(token, AT - timedelta(seconds=1))
    assert verify_licence(token, AT).id == "1234"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"iss": "Somebody"}, "the licence was not issued by FlowForge Inc."),
        ({"iss": ...}, "the licence was not issued by FlowForge Inc."),
        ({"sub": ...}, "the licence does not say whom it is for (claim `sub`)"),
        ({"sub": ""}, "the licence does not say whom it is for (claim `sub`)"),
        ({"nbf": ...}, "the licence lacks the claim `nbf`"),
        ({"nbf": True}, "the licence lacks the claim `nbf`"),
        ({"exp": ...}, "the licence lacks the claim `exp`"),
        ({"exp": 1e300}, "the claim `exp` of the licence is out of range"),
    ],
)
def test_a_licence_that_lacks_what_flowfuse_needs_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(LicenceError, match=f"^{re.escape(says)}$"):
        verify_licence(signed(**changes), AT)


def test_a_licence_of_another_key_or_algorithm_is_refused() -> None:
    changed = "the signature of the licence is not FlowFuse's; was it changed or cut when it was copied?"
    with pytest.raises(LicenceError, match=f"^{re.escape(changed)}$"):
        verify_licence(signed(STRANGER), AT)
    of_another_algorithm = "the licence is not a JSON web token that FlowFuse accepts (ES256)"
    for key, algorithm in (
        (rsa.generate_private_key(65537, 2048), "RS256"),
        ("a secret that is long enough for this", "HS256"),
    ):
        with pytest.raises(LicenceError, match=f"^{re.escape(of_another_algorithm)}$"):
            verify_licence(signed(key, algorithm), AT)
    unsigned = signed(None, "none")
    for token in (unsigned, unsigned + "AAAA"):
        with pytest.raises(LicenceError):
            verify_licence(token, AT)


@pytest.mark.parametrize("change", ["{0}\n", " {0}", "{0} ", "{1} {2}", "{1}\n{2}", "{1}", "", "{0}.{0}", "\u00e9{0}"])
def test_a_licence_that_was_copied_badly_is_refused(change: str) -> None:
    token = signed()
    with pytest.raises(LicenceError, match=r"^the licence is not a JSON web token of FlowFuse's; check .* after it$"):
        verify_licence(change.format(token, token[:50], token[50:]), AT)


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        ({"tier": "teams"}, {"users": 150, "teams": 50, "instances": 100, "mqtt_clients": 5}),
        ({"tier": ...}, {"users": 150, "teams": 50, "instances": 100, "mqtt_clients": 20}),
        ({"mqttClients": 6}, {"users": 150, "teams": 50, "instances": 100, "mqtt_clients": 6}),
        ({"users": "7", "instances": "8"}, {"users": 7, "teams": 50, "instances": 8, "mqtt_clients": 20}),
        ({"users": ..., "teams": None}, {"users": 0, "teams": 0, "instances": 100, "mqtt_clients": 20}),
        ({"users": "many", "teams": [1]}, {"users": 0, "teams": 0, "instances": 100, "mqtt_clients": 20}),
        (
            {"instances": ..., "projects": 3, "devices": 4},
            {"users": 150, "teams": 50, "instances": 3, "devices": 4, "mqtt_clients": 20},
        ),
    ],
)
def test_limits_are_numbers_with_the_defaults_of_the_tier(changes: dict[str, Any], limits: dict[str, int]) -> None:
    found = verify_licence(signed(**changes), AT)
    assert found.limits == limits
    assert found.combined == ("devices" not in limits)


@given(st.text(max_size=200) | st.tuples(*[st.text("abcXYZ019-_=", max_size=60)] * 3).map(".".join))
def test_no_text_is_more_than_refused_and_none_of_it_shows(token: str) -> None:
    with pytest.raises(LicenceError) as caught:
        verify_licence(token, AT)
    assert len(token) < 12 or token not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys((*CLAIMS, "mqttClients", "projects", "dev"), json_values)))
def test_no_signed_claim_is_more_than_refused(changes: dict[str, Any]) -> None:
    token = jwt.PyJWS().encode(json.dumps({**CLAIMS, **changes}).encode(), PRODUCTION, "ES256")
    try:
        found = verify_licence(token, AT)
    except LicenceError:
        return
    assert all(type(limit) is int for limit in found.limits.values())


def test_a_header_nested_too_deeply_is_refused() -> None:
    header, payload, signature = signed().split(".")
    deep = base64.urlsafe_b64encode(b"[" * 100_000).rstrip(b"=").decode()
    for token in (f"{deep}.{payload}.{signature}", f"{header}.{deep}.{signature}"):
        with pytest.raises(LicenceError):
            verify_licence(token, AT)


def test_a_signed_payload_that_is_no_map_is_refused() -> None:
    for payload in (b"[]", b"17", b"not json", b"\xff", b"[" * 100_000):
        token = jwt.PyJWS().encode(payload, PRODUCTION, "ES256")
        with pytest.raises(LicenceError, match=r"^the licence holds no claims$"):
            verify_licence(token, AT)
