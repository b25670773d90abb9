"""Keys inside `telemetry` that nobody reads: warnings that say what was probably meant."""

from pathlib import Path

import pytest

from ff_observe.errors import Problem
from tests.unit.config.files import load


def warnings(home: Path, text: str) -> tuple[Problem, ...]:
    return load(home, text).warnings


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("telemetry:\n  enable: false\n", 2, "telemetry.enable", 'did you mean "enabled"?'),
        ("telemetry:\n  Enabled: false\n", 2, "telemetry.Enabled", 'did you mean "enabled"?'),
        ("telemetry:\n  backend:\n    promtheus: {}\n", 3, "telemetry.backend.promtheus", 'mean "prometheus"?'),
        ("telemetry: {frontend: {posthog: {apiKey: k}}}", 1, "telemetry.frontend.posthog.apiKey", 'mean "apikey"?'),
        ("telemetry: {backend: {sentry: {dns_file: k}}}", 1, "telemetry.backend.sentry.dns_file", 'mean "dsn_file"?'),
        ("telemetry:\n  prometheus:\n    enabled: true\n", 2, "telemetry.prometheus", "telemetry.backend.prometheus?"),
        ("telemetry: {dsn: x}", 1, "telemetry.dsn", "telemetry.backend.sentry.dsn or telemetry.frontend.sentry.dsn?"),
        ("telemetry: {frontend: {wibble: 1}}", 1, "telemetry.frontend.wibble", "known here: consent, google"),
        ("telemetry: {<<: {enabled: false}}", 1, "telemetry.(a key that is not shown)", "known here: backend"),
        ("Telemetry:\n  enabled: false\n", 1, "Telemetry", 'did you mean "telemetry"?'),
        ("telemetry.enabled: false\n", 1, "telemetry.enabled", 'write "telemetry:" and the keys below it, indented'),
        ("telemetry_enabled: false\n", 1, "telemetry_enabled", 'write "telemetry:" and the keys below it, indented'),
        ("telemetry/url: no\n", 1, "(a key that is not shown)", 'write "telemetry:" and the keys below it, indented'),
        ("telemtry:\n  enabled: false\n", 1, "telemtry", 'did you mean "telemetry"?'),
    ],
)
def test_an_unknown_key_is_named_with_its_place_and_what_was_meant(
    tmp_path: Path, text: str, line: int, key: str, says: str
) -> None:
    (warning,) = warnings(tmp_path, text)
    assert (warning.line, warning.key) == (line, key)
    assert warning.message.startswith("unknown key; ")
    assert says in warning.message


def test_the_rest_of_the_file_belongs_to_flowfuse(tmp_path: Path) -> None:
    assert warnings(tmp_path, "anything: {at: [all]}\ndb: {loging: true}\nemail: {enable: 1}\n") == ()


def test_flowfuses_own_keys_are_accepted_with_all_below_them(tmp_path: Path) -> None:
    own = "telemetry: {frontend: {google: {tag: G-1, events: {signup: {}}}, hubspot: {trackingcode: 1}}}"
    assert warnings(tmp_path, own) == ()


def test_a_secret_in_the_place_of_a_key_is_not_shown(tmp_path: Path) -> None:
    (warning,) = warnings(tmp_path, "telemetry: {backend: {sentry: {https://planted@example.com/1}}}")
    assert "planted" not in str(warning)


def test_all_unknown_keys_are_found_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = warnings(tmp_path, "telemetry:\n  zzz: 1\n  backend:\n    yyy: 1\n  xxx: 1\n")
    assert [warning.line for warning in found] == [2, 4, 5]


def test_a_hundred_unknown_keys_are_enough(tmp_path: Path) -> None:
    assert len(warnings(tmp_path, "telemetry:\n" + "".join(f"  x{number}: 1\n" for number in range(1000)))) == 100
