"""The declaration holds together. That the reference names every key: `tests/architecture/test_generated_documents`."""

import re
from pathlib import Path

from ff_observe.config.declaration import IGNORED_KEYS, PLATFORM_KEYS, TELEMETRY_KEYS
from ff_observe.config.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
EVERY_KEY = (*TELEMETRY_KEYS, *PLATFORM_KEYS)


def test_no_key_is_declared_twice_and_none_lies_below_another() -> None:
    paths = [*(key.path for key in EVERY_KEY), *(key.file_path for key in EVERY_KEY if key.file), *IGNORED_KEYS]
    assert len(paths) == len(set(paths))
    assert not [one for one in paths for other in paths if one.startswith(f"{other}.")]


def test_telemetry_keys_are_inside_telemetry_and_the_others_are_not() -> None:
    assert all(key.path.startswith("telemetry.") for key in TELEMETRY_KEYS)
    assert not any(key.path.startswith("telemetry") for key in PLATFORM_KEYS)


def test_every_secret_can_stand_in_a_file_and_only_secrets_can() -> None:
    assert [key.path for key in EVERY_KEY if key.secret is not key.file] == []


def test_every_key_has_a_sentence_for_people() -> None:
    assert all(key.help.endswith(".") and len(key.help) < 120 for key in EVERY_KEY)


def test_every_declared_key_is_read_into_the_settings() -> None:
    good = (ROOT / "tests" / "data" / "config" / "good-everything.yml").read_text()
    last = {key.path.rpartition(".")[2] for key in EVERY_KEY}
    assert sorted(name for name in last if not re.search(rf"\b{name}:", good)) == [
        "bearer_token_file",
        "ca_file",
        "certificate",
        "storage",
        "web_config_file",
    ]
    assert Settings.__dataclass_fields__.keys() >= {"ping", "prometheus", "otlp", "frontend", "platform", "database"}
