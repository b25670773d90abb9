"""The declaration of `flowforge.yml` holds together. What holds for the keys of every file: `test_every_key`."""

from ff_observe.config.declaration import IGNORED_KEYS, PLATFORM_KEYS, TELEMETRY_KEYS

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
