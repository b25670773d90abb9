"""What README, PRIVACY and docs say of switching the metrics on, held against what the keys do."""

import re
from pathlib import Path

import pytest

from ff_observe.config import load_settings
from ff_observe.snapshots import MINIMUM_INTERVAL_SECONDS
from ff_observe.sources.http_probe import PATH

ROOT = Path(__file__).resolve().parents[3]


def examples(document: str) -> list[str]:
    """The YAML blocks that set something below `telemetry`."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if block.startswith("telemetry:")]


@pytest.mark.parametrize("document", ["README.md", "docs/securing-metrics.md"])
def test_what_is_copied_from_the_documents_does_not_open_flowfuses_own_metrics(document: str, tmp_path: Path) -> None:
    (example, *_) = examples(document)
    file = tmp_path / "flowforge.yml"
    file.write_text(example)
    settings = load_settings(home=tmp_path, config=file, variables={}).prometheus
    assert settings.enabled
    assert not settings.flowfuse_enabled


def test_the_readme_says_that_the_other_switch_opens_them() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert re.search(r"`enabled: true` in its place .{0,80}FlowFuse's own `/metrics`.{0,120}without a password", text)


def test_privacy_says_what_flowfuse_is_asked() -> None:
    text = " ".join((ROOT / "PRIVACY.md").read_text(encoding="utf-8").split())
    assert f"at most every {MINIMUM_INTERVAL_SECONDS:g} s: `GET {PATH}`" in text
