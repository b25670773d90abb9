"""The switches of the metrics and of the question to FlowFuse: what they do, and what the documents say of them."""

import re
from pathlib import Path

import pytest

from ff_observe.platform.snapshots import MINIMUM_INTERVAL_SECONDS
from ff_observe.platform.sources.http_probe import PATH
from tests.unit.config.files import load

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("keys", "serves", "flowfuse_serves"),
    [
        ("{}", False, False),
        ("{enabled: true}", True, True),
        ("{enabled: false}", False, False),
        ("{bridge_enabled: true}", True, False),
        ("{enabled: false, bridge_enabled: true}", True, False),
        ("{enabled: true, bridge_enabled: false}", False, True),
        ("{enabled: true, bridge_enabled: null}", True, True),
    ],
)
def test_the_bridge_serves_metrics_by_its_own_switch_or_else_by_flowfuses(
    tmp_path: Path, keys: str, serves: bool, flowfuse_serves: bool
) -> None:
    settings = load(tmp_path, f"telemetry: {{backend: {{prometheus: {keys}}}}}").prometheus
    assert (settings.enabled, settings.flowfuse_enabled) == (serves, flowfuse_serves)


@pytest.mark.parametrize(
    ("base_url", "keys", "probe_url"),
    [
        ("https://forge.example.com", "{}", "https://forge.example.com"),
        ("https://forge.example.com", "{probe_url: 'http://forge:3000'}", "http://forge:3000"),
        ("https://forge.example.com", "{probe_url: null}", "https://forge.example.com"),
        ("https://forge.example.com", "{probe_url: ''}", None),
        ("https://forge.example.com", "{probe_url: false}", None),
        ("https://forge.example.com", "{probe_url: off}", None),
        ("''", "{}", None),
        ("''", "{probe_url: 'http://[::1]:3000/'}", "http://[::1]:3000/"),
        ("forge.example.com", "{}", None),
        ("12", "{}", None),
    ],
)
def test_flowfuse_is_asked_at_its_base_url_unless_the_file_says_otherwise(
    tmp_path: Path, base_url: str, keys: str, probe_url: str | None
) -> None:
    settings = load(tmp_path, f"base_url: {base_url}\ntelemetry: {{backend: {{prometheus: {keys}}}}}")
    assert settings.prometheus.probe_url == probe_url


def examples(document: str) -> list[str]:
    """The YAML blocks that set something below `telemetry`."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if block.startswith("telemetry:")]


@pytest.mark.parametrize("document", ["README.md", "docs/securing-metrics.md"])
def test_what_is_copied_from_the_documents_does_not_open_flowfuses_own_metrics(document: str, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("web-config.yml", "metrics.token"):
        (tmp_path / "etc" / name).write_text("")
    settings = load(tmp_path, examples(document)[0]).prometheus
    assert settings.enabled
    assert not settings.flowfuse_enabled


def test_the_readme_says_that_the_other_switch_opens_them() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert re.search(r"`enabled: true` in its place .{0,80}FlowFuse's own `/metrics`.{0,120}without a password", text)


def test_privacy_says_what_flowfuse_is_asked() -> None:
    text = " ".join((ROOT / "PRIVACY.md").read_text(encoding="utf-8").split())
    assert f"at most every {MINIMUM_INTERVAL_SECONDS:g} s: `GET {PATH}`" in text
