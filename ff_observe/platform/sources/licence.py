"""Determines which licences FlowFuse would load, and what they allow (FlowFuse forge/licensing/{index,loader}.js).

FlowFuse's licences are JSON web tokens signed with ES256.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

from ff_observe.errors import FFObserveError
from ff_observe.platform.sources.model import Licence
from ff_observe.system.json_object import json_object

# FlowFuse's public keys, from the npm package @flowfuse/flowfuse (forge/licensing/flowforge-ee-public-key.pem and
# dev-public-key.pem; that part of FlowFuse is Apache-2.0).
_PRODUCTION_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdzVj8fW2TtkPWkvWLKKGtl0+g3+1
Q8ffm8xC/e1HFdhmFBUDPnI9zX679X/n55jRt3sRFesEZRMosYntrBK7uQ==
-----END PUBLIC KEY-----
"""
_DEVELOPMENT_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1ynME+vKfjm2gmSlEL0Q3KLMHM5L
xGmoGGvqkQjEoRSNbjH+uyWdDuQiJYdMk4PByad0hcIjE1BdEsbobIiTSQ==
-----END PUBLIC KEY-----
"""

ISSUER = "FlowForge Inc."
UNLICENSED_LIMITS: Mapping[str, int] = MappingProxyType({"users": 5, "teams": 5, "instances": 5})
"""What FlowFuse allows without a licence; `instances` covers devices too."""

_DEFAULT_MQTT_CLIENTS = {"teams": 5}
_DEFAULT_MQTT_CLIENTS_OTHER_TIERS = 20
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class LicenceError(FFObserveError):
    """FlowFuse would not start with this licence. The message never holds the licence."""


def verify_licence(token: str, at: datetime) -> Licence:
    """The licence in `token`, if FlowFuse would load it at that moment. It would load an expired one. Raises
    `LicenceError`."""
    licence, valid_from = _verified(token)
    if valid_from > at:
        raise LicenceError(f"the licence is not valid before {valid_from:%Y-%m-%d %H:%M} UTC")
    return licence


@lru_cache(maxsize=4)
def _verified(token: str) -> tuple[Licence, datetime]:
    """The licence and the moment from which it is valid."""
    if _TOKEN.fullmatch(token) is None:
        raise LicenceError(
            "the licence is not a JSON web token of FlowFuse's; check that it is complete, on one line, and without "
            "spaces or a line break inside or after it"
        )
    payload, is_development = _signed_payload(token)
    claims = json_object(payload)
    if claims is None:
        raise LicenceError("the licence holds no claims")
    if claims.get("iss") != ISSUER:
        raise LicenceError(f"the licence was not issued by {ISSUER}")
    if not claims.get("sub"):
        raise LicenceError("the licence does not say whom it is for (claim `sub`)")
    valid_from = _moment(claims, "nbf")
    expires_at = _moment(claims, "exp")
    combined = "instances" in claims
    tier = str(claims.get("tier") or "enterprise")
    licence = Licence(
        id=str(claims.get("id") or claims.get("licenseId") or ""),
        type="DEV" if is_development or claims.get("dev") else "EE",
        tier=tier,
        expires_at=expires_at,
        limits=MappingProxyType(_limits(claims, tier, combined)),
        combined=combined,
    )
    return licence, valid_from


def _signed_payload(token: str) -> tuple[bytes, bool]:
    """The payload, and whether the development key signed it."""
    import jwt  # only a licensed platform pays for it

    for key, is_development in ((_PRODUCTION_KEY, False), (_DEVELOPMENT_KEY, True)):
        try:
            return jwt.PyJWS().decode(token, key, algorithms=["ES256"]), is_development
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise LicenceError("the licence is not a JSON web token that FlowFuse accepts (ES256)") from error
    raise LicenceError("the signature of the licence is not FlowFuse's; was it changed or cut when it was copied?")


def _moment(claims: Mapping[str, object], name: str) -> datetime:
    """FlowFuse does not start with a licence that lacks either of its two dates."""
    seconds = claims.get(name)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise LicenceError(f"the licence lacks the claim `{name}`")
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (OverflowError, ValueError) as error:
        raise LicenceError(f"the claim `{name}` of the licence is out of range") from error


def _limits(claims: Mapping[str, object], tier: str, combined: bool) -> dict[str, int]:
    """Limits by resource. Licences from before FlowFuse 2.2 limit hosted instances (`projects`) and devices
    separately."""
    claimed = {
        "users": claims.get("users"),
        "teams": claims.get("teams"),
        "instances": claims.get("instances" if combined else "projects"),
    }
    if not combined:
        claimed["devices"] = claims.get("devices")
    limits = {resource: _number(value) for resource, value in claimed.items()}
    default = _DEFAULT_MQTT_CLIENTS.get(tier, _DEFAULT_MQTT_CLIENTS_OTHER_TIERS)
    limits["mqtt_clients"] = _number(claims.get("mqttClients")) or default
    return limits


def _number(value: object) -> int:
    """A limit as FlowFuse compares it: a numeric string counts, an empty value is 0."""
    try:
        return int(float(value)) if isinstance(value, str | int | float) else 0
    except (ValueError, OverflowError):
        return 0
