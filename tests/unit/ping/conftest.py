"""The ping thread, ready to be started."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.fakes import FakeClock
from tests.unit.ping.bridge import START, Bridge, Platform
from tests.unit.ping.receivers import receiver
from tests.unit.ping.samples import snapshot


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bridge]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Bridge(FakeClock(START), Platform(snapshot()), SelfMetrics(), tmp_path / "state")
    with receiver(made.respond) as made.server:
        try:
            yield made
        finally:
            made.stop()
