"""What the page and `/history.json` say of the past, held against the releases that everybody can download."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from ff_observe.collector.fleet.figures import take_fleet
from ff_observe.collector.publication import Publication
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Store
from ff_observe.collector.store.opening import open_store
from tests.attack.world import KEY, RELEASE_DAY, SETTINGS, World
from tests.fakes import FakeClock
from tests.fleet_year import fill
from tests.real_parts.collector import ask, collecting
from tests.unit.collector.pings import later

LAST = date(2026, 6, 15)
RELEASES = 20


@pytest.fixture
def settings(tmp_path: Path) -> CollectorSettings:
    return CollectorSettings(port=0, data_dir=tmp_path / "collector", public=True)


@pytest.fixture
def collector(settings: CollectorSettings) -> Iterator[Collector]:
    fill(open_store(settings), LAST, RELEASES)
    with collecting(settings, FakeClock(datetime.combine(LAST, time(6), UTC))) as running:
        running.count_fleet()
        yield running


def test_the_history_can_be_made_from_the_releases_alone(collector: Collector) -> None:
    history = ask(collector.port, "GET", "/history.json").json
    days = ask(collector.port, "GET", "/releases.json").json["days"]
    releases = [ask(collector.port, "GET", f"/releases/{day}.json").json for day in days]
    assert history["day"] == days
    assert history["releases"] == {"first": days[0], "last": days[-1], "count": RELEASES}
    assert history["platforms"]["30d"] == [release["platforms"].get("30d") for release in releases]
    assert history["silent_platforms"] == [release["silent_platforms"] for release in releases]
    for name in ("platforms_by_version", "platforms_by_driver", "platforms_by_license_type"):
        values = {value for release in releases for value in release[name]}
        assert history[name] == {value: [release[name].get(value) for release in releases] for value in values}
    for feature, states in history["platforms_by_feature"].items():
        for state, column in states.items():
            assert column == [release["platforms_by_feature"][feature].get(state) for release in releases]
    users = [release["resources"]["users"] for release in releases]
    assert history["resources"]["users"]["total"] == [each["total"] for each in users]
    assert history["resources"]["users"]["quantiles"]["0.5"] == [each["quantiles"]["0.5"] for each in users]
    assert any(None in column for column in history["platforms_by_version"].values()), "some release left a version out"


def test_it_is_served_as_the_latest_release_is(collector: Collector, settings: CollectorSettings) -> None:
    latest, history = (ask(collector.port, "HEAD", path) for path in ("/fleet.json", "/history.json"))
    assert (history.status, history.headers.keys()) == (200, latest.headers.keys())
    for name in latest.headers.keys() - {"content-length", "date"}:
        assert history.headers[name] == latest.headers[name]
    assert ask(collector.port, "POST", "/history.json").status == 405
    with collecting(replace(settings, public=False)) as private:
        assert ask(private.port, "GET", "/history.json").status == 404


def test_the_page_shows_it(collector: Collector) -> None:
    page = ask(collector.port, "GET", "/").body.decode()
    assert f"From {RELEASES} releases (27 May 2026 to 15 June 2026)." in page
    for title in ("Platforms", "FlowFuse versions", "Licence types", "Drivers", "Features enabled"):
        assert f"<h2>{title} over time</h2>" in page
        assert f'role="img" aria-label="{title} over time: ' in page
    assert "The rules changed" not in page
    assert '<th scope="col" class="drawing">Sum over time</th>' in page
    assert 'aria-label="Sum of users: ' in page


def test_one_release_has_no_curve_and_says_so(settings: CollectorSettings) -> None:
    fill(open_store(settings), LAST, 1)
    with collecting(settings, FakeClock(datetime.combine(LAST, time(6), UTC))) as collector:
        collector.count_fleet()
        page = ask(collector.port, "GET", "/").body.decode()
        assert "Curves begin with the second release." in page
        assert 'class="chart"' not in page
        assert "Sum over time" not in page
        assert ask(collector.port, "GET", "/history.json").json["day"] == [str(LAST)]


def test_where_nothing_is_kept_there_is_no_history(settings: CollectorSettings) -> None:
    with collecting(replace(settings, k=1, public_k=1)) as collector:
        collector.count_fleet()
        assert ask(collector.port, "GET", "/history.json").json == {
            "releases": {"first": None, "last": None, "count": 0},
            "day": [],
        }
        page = ask(collector.port, "GET", "/").body.decode()
        assert "over time" not in page.lower()


def _published(store: Store, publication: Publication, day: int) -> Any:
    now = later(days=day)
    fleet = take_fleet(World(store).rolled_up(now), now, SETTINGS.k, SETTINGS.silent_after_days)
    release = publication.refresh(fleet, now)
    assert release is not None
    return release.page.decode(), json.loads(release.history)


def test_it_grows_by_a_release_at_a_time_and_says_when_the_rules_changed(store: Store) -> None:
    world = World(store)
    world.honest()
    publication = Publication(world.store, SETTINGS, lambda: KEY, lambda: "key")
    stricter = Publication(world.store, replace(SETTINGS, public_k=20), lambda: KEY, lambda: "key")
    assert _published(store, publication, RELEASE_DAY)[1]["k"] == [10]
    page, two = _published(store, publication, RELEASE_DAY + 1)
    assert two["k"] == [10, 10]
    assert "The rules changed" not in page
    page, three = _published(store, stricter, RELEASE_DAY + 2)
    assert three["k"] == [10, 10, 20]
    assert "The rules changed meanwhile: see k, days and privacy in the data." in page
    assert _published(store, publication, RELEASE_DAY + 2)[1] == three, "by a collector that knew two of them"
