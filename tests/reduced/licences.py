"""Licences with invented claims, signed by the tests' own key, and FlowFuse's published development licence."""

from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ff_observe.demo.company import DEVELOPMENT_LICENCE
from ff_observe.platform.sources import licence

PUBLISHED: Final = DEVELOPMENT_LICENCE
PUBLISHED_ID: Final = "a428c0da-51a4-4e75-bb90-e8932b498dda"
PUBLISHED_LIMITS: Final = {"maxUsers": 150, "maxTeams": 50, "maxInstances": 100, "maxMqttClients": 20}
_KEY: Final = ec.derive_private_key(2_330_200, ec.SECP256R1())
_CLAIMS: Final[dict[str, Any]] = {
    "iss": "FlowForge Inc.",
    "sub": "Example Works Ltd",
    "nbf": 1_740_787_200,  # 2025-03-01
    "exp": 4_102_444_800,  # 2100-01-01
    "tier": "enterprise",
    "dev": True,
}


def signed(**claims: Any) -> str:
    """A licence with these claims; one that is `...` is left out."""
    return jwt.encode({key: value for key, value in {**_CLAIMS, **claims}.items() if value is not ...}, _KEY, "ES256")


def accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept licences of the tests' key as FlowFuse's own; those of the development key stay as they are."""
    pem = _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    monkeypatch.setattr(licence, "_PRODUCTION_KEY", pem.decode())
