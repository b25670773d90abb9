"""The log of public releases: what a downloader can verify, on both stores and over HTTP."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ff_observe.cli import main
from ff_observe.collector import publication as publication_module
from ff_observe.collector.fleet.figures import take_fleet
from ff_observe.collector.publication import Publication, Release
from ff_observe.collector.release_log import ReleaseLog
from ff_observe.collector.service import Collector
from ff_observe.collector.settings import CollectorSettings
from ff_observe.collector.store import Released, Store
from ff_observe.collector.store.sqlite import open_sqlite
from ff_observe.transparency.checkpoints import Proof
from ff_observe.transparency.notes import SIGNATURE, SigningKey
from tests.attack.world import KEY, RELEASE_DAY, SETTINGS, World
from tests.fakes import FakeClock
from tests.real_parts.collector import ask, collecting, send
from tests.real_parts.processes import wait_until
from tests.unit.collector.pings import body, later

PUBLIC_KEY = str(KEY.verifier)
FIRST = date(2026, 3, 1)


def released(days: int, key: SigningKey = KEY, first: date = FIRST) -> list[Released]:
    """A log of so many days."""
    log, made = ReleaseLog(), []
    for number in range(days):
        day = first + timedelta(days=number)
        made.append(log.next(day, json.dumps({"day": str(day), "platforms": number}), key))
        log.add(made[-1])
    return made


def downloaded(directory: Path, releases: list[Released]) -> list[Path]:
    directory.mkdir(exist_ok=True)
    for each in releases:
        (directory / f"{each.day}.json").write_text(each.document)
        (directory / f"{each.day}.proof").write_text(each.proof)
    return [directory / f"{each.day}.json" for each in releases]


def verify(files: list[Path], key: str = PUBLIC_KEY) -> int:
    return main(["collector", "verify", "--key", key, *map(str, files)])


@pytest.mark.parametrize("span", [slice(0, 1), slice(0, 20), slice(7, 16), slice(13, 14)])
def test_releases_in_a_row_are_verified_without_the_earlier_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], span: slice
) -> None:
    files = downloaded(tmp_path / "of 2026-12-31", released(20)[span])
    assert verify(files) == 0
    assert "intact" in capsys.readouterr().out


def _changed(directory: Path) -> None:
    file = directory / "2026-03-05.json"
    file.write_text(file.read_text().replace('"platforms": 4', '"platforms": 5'))


def _removed(directory: Path) -> None:
    (directory / "2026-03-05.json").unlink()


def _dated_anew(directory: Path) -> None:
    for suffix in (".json", ".proof"):
        (directory / f"2026-03-05{suffix}").rename(directory / f"2026-02-05{suffix}")


def _dated_anew_within(directory: Path) -> None:
    file = directory / "2026-03-05.json"
    file.write_text(file.read_text().replace("03-05", "02-05"))


def _swapped(directory: Path) -> None:
    shutil.copy(directory / "2026-03-06.json", directory / "2026-03-05.json")
    shutil.copy(directory / "2026-03-06.proof", directory / "2026-03-05.proof")


def _proof_damaged(directory: Path) -> None:
    file = directory / "2026-03-05.proof"
    file.write_text(file.read_text().replace("index 4", "index 5"))


def _rewritten(directory: Path) -> None:
    """The operator makes a new log from the fifth on, with the right key."""
    log = ReleaseLog()
    for each in released(9):
        document = each.document.replace('"platforms": 3', '"platforms": 33')
        again = log.next(each.day, document, KEY)
        log.add(again)
        if again.number > 3:
            downloaded(directory, [again])


def _one_more_number(directory: Path) -> None:
    """Two branches of the log have a release with the same number."""
    downloaded(directory, [released(6, first=FIRST + timedelta(days=100))[5]])


def _dated_back(directory: Path) -> None:
    log = ReleaseLog()
    for each in released(9):
        log.add(each)
    downloaded(directory, [log.next(date(2026, 2, 1), json.dumps({"day": "2026-02-01"}), KEY)])


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        (_changed, "2026-03-05.json: it is not what was released on 2026-03-05"),
        (_removed, "2026-03-06.json: one release is missing between 2026-03-04 and 2026-03-06"),
        (_dated_anew, "2026-02-05.json: it was released on 2026-03-05"),
        (_dated_anew_within, "2026-03-05.json: it is not what was released on 2026-03-05"),
        (_swapped, "2026-03-05.json: it was released on 2026-03-06"),
        (_proof_damaged, "2026-03-05.json: its proof was changed"),
        (_rewritten, "2026-03-05.json: it does not continue the log that ended with 2026-03-04"),
        (_one_more_number, "have one number: the log was rewritten"),
        (_dated_back, "2026-02-01.json: it comes after the release of 2026-03-09, and is dated 2026-02-01"),
    ],
)
def test_what_was_done_to_releases_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tampering: Callable[[Path], None], finding: str
) -> None:
    assert verify(downloaded(tmp_path, released(9))) == 0
    tampering(tmp_path)
    assert verify(sorted(tmp_path.glob("*.json"))) == 1
    assert finding in capsys.readouterr().err


def test_a_document_that_names_another_day_than_its_entry_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = downloaded(tmp_path, [ReleaseLog().next(FIRST, json.dumps({"day": "2025-03-01"}), KEY)])
    assert verify(files) == 1
    assert "it has another day than 2026-03-01" in capsys.readouterr().err


def test_another_key_is_refused_and_two_keys_cover_a_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = SigningKey("releases", SIGNATURE, bytes([1]) * 32)
    old = released(3)
    log = ReleaseLog()
    for each in old:
        log.add(each)
    files = downloaded(tmp_path, [*old, log.next(FIRST + timedelta(days=3), '{"day": "2026-03-04"}', new)])
    assert verify(files) == 1
    assert "2026-03-04.json: its proof is not signed by the key" in capsys.readouterr().err
    assert main(["collector", "verify", "--key", PUBLIC_KEY, "--key", str(new.verifier), *map(str, files)]) == 0
    assert verify(files, "nonsense") == 2


def test_a_file_without_its_proof_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify([Path()]) == 1
    assert "cannot read .: Is a directory" in capsys.readouterr().err
    (file,) = downloaded(tmp_path, released(1))
    file.with_suffix(".proof").unlink()
    assert verify([file]) == 1
    assert f"cannot read {file.with_suffix('.proof')}" in capsys.readouterr().err


def test_the_proof_is_one_that_others_verify(tmp_path: Path) -> None:
    proof = Proof.parse(released(5)[4].proof.encode())
    assert proof.holds
    assert proof.note.is_signed_by(KEY.verifier)


def test_one_of_two_collectors_adds_a_release(store: Store) -> None:
    first, second = released(2)
    other = released(1, SigningKey("other", SIGNATURE, bytes(32)))[0]
    assert not store.release(second), "it follows none"
    assert store.release(first)
    assert not store.release(other)
    assert store.release(second)
    assert [list(store.releases(number)) for number in range(3)] == [[first, second], [second], []]


@pytest.mark.parametrize("pings_meanwhile", [False, True])
def test_a_clock_that_is_wrong_releases_nothing(store: Store, pings_meanwhile: bool) -> None:
    world = World(store)
    world.honest()
    released_then = world.public()["day"]
    for wrong in (RELEASE_DAY - 1, RELEASE_DAY + 5, RELEASE_DAY + 100):
        if pings_meanwhile:
            world.ping(["late"], days=[wrong])
        assert world.public(wrong)["day"] == released_then
    world.honest()
    assert world.public(RELEASE_DAY + 1)["day"] > released_then


def test_a_database_set_back_to_a_backup_gets_a_log_without_gaps(tmp_path: Path) -> None:
    """While the collector runs, which remembers more releases than there are."""
    file = tmp_path / "pings.sqlite3"
    world = World(open_sqlite(file, SETTINGS.duplicate_window, "collector"))
    world.honest()
    publication = Publication(world.store, SETTINGS, lambda: KEY, lambda: "key")

    def refresh(day: int) -> None:
        now = later(days=day)
        world.rolled_up(now)
        publication.refresh(take_fleet(world.store, now, SETTINGS.k, SETTINGS.silent_after_days), now)

    refresh(RELEASE_DAY)
    refresh(RELEASE_DAY + 1)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DELETE FROM fleet_log WHERE number = 1")
    refresh(RELEASE_DAY + 2)
    refresh(RELEASE_DAY + 2)
    kept = world.store.releases(0)
    assert [(each.number, (each.day - kept[0].day).days) for each in kept] == [(0, 0), (1, 2)]
    assert verify(downloaded(tmp_path / "downloaded", list(kept))) == 0


def test_releases_are_served_for_ever_under_their_day(tmp_path: Path) -> None:
    settings = CollectorSettings(port=0, data_dir=tmp_path / "collector", public=True)
    directory = tmp_path / "downloaded"
    directory.mkdir()
    for day in range(3):
        with collecting(settings, FakeClock(later(days=day))) as collector:
            for name in range(settings.k):
                assert send(collector.port, body(f"{name}")).status == 200

            def is_released(collector: Collector = collector, releases: int = day + 1) -> bool:
                collector.fold()
                collector.count_fleet()
                return len(ask(collector.port, "GET", "/releases.json").json["days"]) == releases

            wait_until(is_released, "the release of the day")
            latest = ask(collector.port, "GET", "/fleet.json")
            index = ask(collector.port, "GET", "/releases.json").json
            for released_on in index["days"]:
                for suffix in (".json", ".proof"):
                    answer = ask(collector.port, "GET", f"/releases/{released_on}{suffix}")
                    assert (answer.status, "immutable" in answer.headers["cache-control"]) == (200, True)
                    (directory / f"{released_on}{suffix}").write_bytes(answer.body)
            assert latest.body == (directory / f"{index['days'][-1]}.json").read_bytes()
            assert ask(collector.port, "GET", "/releases/2020-01-01.json").status == 404
            assert ask(collector.port, "POST", f"/releases/{index['days'][0]}.json").status == 405
    assert verify(sorted(directory.glob("*.json")), index["key"]) == 0
    with collecting(replace(settings, public=False)) as collector:
        for path in ("/releases.json", f"/releases/{index['days'][0]}.json"):
            assert ask(collector.port, "GET", path).status == 404


def test_the_key_command_prints_the_key_that_signs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = CollectorSettings(port=0, data_dir=tmp_path / "collector", public=True)
    with collecting(settings) as collector:
        collector.count_fleet()
        key = ask(collector.port, "GET", "/releases.json").json["key"]
        page = ask(collector.port, "GET", "/").body.decode()
    assert main(["collector", "key", "--releases", "--data-dir", str(settings.data_dir)]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed == key
    assert printed in page
    assert main(["collector", "key", "--data-dir", str(settings.data_dir)]) == 0
    assert capsys.readouterr().out.strip() != key


NOISY = replace(SETTINGS, epsilon=1.0, epsilon_budget=2.5)
MANY = 400


def publication(store: Store, settings: CollectorSettings = NOISY) -> Publication:
    return Publication(store, settings, lambda: KEY, lambda: "key")


def refreshed(store: Store, made: Publication, day: int) -> Release | None:
    now = later(days=day)
    World(store).rolled_up(now)
    return made.refresh(take_fleet(store, now, SETTINGS.k, SETTINGS.silent_after_days), now)


def privacy(release: Release | None) -> dict[str, Any]:
    assert release is not None
    found: dict[str, Any] = json.loads(release.data)["privacy"]
    return found


@pytest.fixture
def noisy_store(tmp_path: Path) -> Store:
    world = World(open_sqlite(tmp_path / "pings.sqlite3", SETTINGS.duplicate_window, "collector"))
    world.honest(MANY)
    return world.store


def test_noise_is_drawn_once_for_all_collectors(noisy_store: Store) -> None:
    first = refreshed(noisy_store, publication(noisy_store), RELEASE_DAY)
    assert first is not None
    platforms = json.loads(first.data)["platforms"]["30d"]
    assert abs(platforms - MANY) < 40 * 14
    for _ in range(3):
        again = refreshed(noisy_store, publication(noisy_store), RELEASE_DAY)
        assert again is not None
        assert again.data == first.data


def test_releases_end_with_their_budget_and_go_on_with_a_larger_one(
    noisy_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    made = publication(noisy_store)
    first = refreshed(noisy_store, made, RELEASE_DAY)
    assert (privacy(first)["spent"], privacy(first)["budget"]) == (1.0, 2.5)
    assert first is not None
    assert b"This is the last release" not in first.page
    second = refreshed(noisy_store, made, RELEASE_DAY + 1)
    assert privacy(second)["spent"] == made.spent == 2.0
    assert second is not None
    assert b"2 of 2.5 in all" in second.page
    assert b"This is the last release" in second.page
    for _ in range(2):
        assert refreshed(noisy_store, made, RELEASE_DAY + 2) is None
    (said,) = (record.message for record in caplog.records if "not released any more" in record.message)
    assert "spent 2 of the 2.5 of fleet.epsilon_budget" in said
    restarted = publication(noisy_store)
    kept = refreshed(noisy_store, restarted, RELEASE_DAY + 2)
    assert (kept is not None and kept.data, restarted.spent) == (second.data, 2.0)
    more = publication(noisy_store, replace(NOISY, epsilon=0.5))
    assert privacy(refreshed(noisy_store, more, RELEASE_DAY + 2))["spent"] == 2.5


def test_a_release_with_noise_names_missing_platforms_by_its_own_figures(noisy_store: Store) -> None:
    """So this spends nothing. Noise of ε 10 is off by 4 in 95 of 100 cases, and by 100 in none."""
    world = World(noisy_store)
    world.ping((f"honest-{index}" for index in range(120)), days=[RELEASE_DAY])
    made = publication(world.store, replace(NOISY, epsilon=10.0, epsilon_budget=30.0))
    named = []
    for day in range(2):
        release = refreshed(noisy_store, made, RELEASE_DAY + day)
        assert release is not None
        document = json.loads(release.data)
        assert document["privacy"]["spent"] == 10.0 * (day + 1)
        named.append(document["findings"])
    assert named == [[], ["missing"]]


def test_releases_are_as_far_apart_as_is_set(noisy_store: Store) -> None:
    world = World(noisy_store)
    world.ping(["late"], days=range(RELEASE_DAY, RELEASE_DAY + 6))
    made = publication(world.store, replace(SETTINGS, release_days=2))
    released_on = [day for day in range(6) if refreshed(noisy_store, made, RELEASE_DAY + day) is not None]
    assert released_on == [0, 2, 4]


def test_noise_without_its_package_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publication_module, "find_spec", lambda _: None)
    file = tmp_path / "collector.yml"
    file.write_text("fleet: {public: true, epsilon: 1}")
    assert main(["collector", "run", "--settings", str(file), "--listen", "127.0.0.1:0"]) == 78
    assert f"{file}: fleet.epsilon: noise needs the package opendp: pip install 'ff-observe[dp]'" in (
        capsys.readouterr().err
    )


def test_the_metrics_say_what_of_the_budget_is_spent(tmp_path: Path) -> None:
    settings = CollectorSettings(port=0, data_dir=tmp_path / "collector", public=True, epsilon=0.5)
    with collecting(settings) as collector:

        def has_spent() -> bool:
            collector.fold()
            collector.count_fleet()
            return (
                "ff_observe_collector_privacy_spent_epsilon 0.5" in ask(collector.port, "GET", "/metrics").body.decode()
            )

        wait_until(has_spent, "the first release")
        text = ask(collector.port, "GET", "/metrics").body.decode()
    assert "ff_observe_collector_privacy_budget_epsilon 10.0" in text
    with collecting(replace(settings, epsilon=None)) as collector:
        assert b"\nff_observe_collector_privacy_spent_epsilon " not in ask(collector.port, "GET", "/metrics").body
