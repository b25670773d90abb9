"""Photographs the public page of a collector after a year of a made-up fleet: `python -m tests.pictures.fleet_page`."""

import sys
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Final

from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store.opening import open_store
from tests.fakes import FakeClock
from tests.fleet_year import K, fill
from tests.pictures.__main__ import PICTURES
from tests.pictures.pages import THEMES, photograph
from tests.real_parts import browser as browser_part
from tests.real_parts.collector import collecting

LAST: Final = date(2026, 11, 28)
SETTINGS: Final = CollectorSettings(port=0, public=True, public_k=K)


def main() -> int:
    """The page in both themes."""
    with tempfile.TemporaryDirectory() as directory:
        settings = replace(SETTINGS, data_dir=Path(directory))
        fill(open_store(settings), LAST)
        morning = FakeClock(datetime.combine(LAST, time(6), UTC))
        with collecting(settings, morning) as collector, browser_part.browser() as launched:
            collector.count_fleet()
            for theme in THEMES:
                url = f"http://127.0.0.1:{collector.port}/"
                photograph(launched, url, PICTURES / f"fleet-page-{theme}.png", theme, 1280, 800)
    return 0


if __name__ == "__main__":
    sys.exit(main())
