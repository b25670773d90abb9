"""The list of platforms: what it says of each, and that it loads nothing that is not its own."""

import asyncio
import os
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urljoin

import pytest

from ff_observe.catalogue.bridge import AUDIT_LOG_COUNTED, OUTPUT_ENABLED
from ff_observe.lifecycle.workers import Workers
from ff_observe.platform.snapshot import Snapshot
from ff_observe.problems import Finding, Severity
from ff_observe.system.clock import SystemClock
from ff_observe.telemetry.self_metrics import SelfMetrics
from ff_observe.web.platforms_app import PlatformsApp
from ff_observe.web.platforms_page import PlatformsPage, ServedPlatform
from tests.unit.web.asgi import Reply, ask, get
from tests.unit.web.platforms import Provider, app, settings, snapshot
from tests.unit.web.test_status_page import Page


@dataclass
class Running:
    """A platform whose latest snapshot is given."""

    latest: Snapshot | None
    examined: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        self.app = app(Provider(self.latest))
        self.settings = settings()
        self.self_metrics = SelfMetrics()
        self.snapshots: Any = self
        self.watch: Any = self


@pytest.mark.parametrize(
    ("latest", "counting", "state", "words"),
    [
        (snapshot(), False, "up", ""),
        (snapshot(), True, "up", ""),  # its audit log: there is a note
        (snapshot(failures={"flowfuse_users": "no"}), True, "troubled", "A reading of the database fails"),
        (snapshot({}, up=False), False, "down", "The platform's database does not answer"),
        (None, False, "unread", ""),
    ],
)
def test_a_platform_has_problems_only_where_something_is_wrong(
    latest: Snapshot | None, counting: bool, state: str, words: str
) -> None:
    running = Running(latest)
    if counting:
        running.self_metrics.set(AUDIT_LOG_COUNTED, 0.5)
    row = PlatformsPage().row(ServedPlatform("acme", {}, (), running))
    assert row.state == state
    assert unescape(row.cells).endswith(f"<td>{words}</td>\n")


def test_the_head_of_the_list_counts_platforms_and_not_their_problems() -> None:
    page = PlatformsPage()
    troubled = snapshot(failures={"flowfuse_users": "no"}, licence_problem="expired")
    given = {"acme": Running(troubled), "initech": Running(snapshot())}
    rows = [page.row(ServedPlatform(name, {}, (), running)) for name, running in given.items()]
    assert rows[0].cells.count("; ") == 1
    assert "2 platforms: 1 with problems" in page.answer(rows, SystemClock().now(), ".").body.decode()


@pytest.mark.parametrize(("severity", "state"), [(Severity.WARNING, "warning"), (Severity.ERROR, "error")])
def test_the_head_of_the_list_is_as_bad_as_the_page_of_the_worst_platform(severity: Severity, state: str) -> None:
    """Of which the page shows what an examination found, too."""
    page, found = PlatformsPage(), {"acme": Severity.WARNING, "initech": severity}
    examined = {name: (Finding("x", bad, "Found", "It is so.", "Mend it."),) for name, bad in found.items()}
    rows = [page.row(ServedPlatform(name, {}, (), Running(snapshot(), each))) for name, each in examined.items()]
    shown = page.answer(rows, SystemClock().now(), ".").body.decode()
    assert f'class="state {state}"' in shown
    assert "2 platforms: 2 with problems" in shown
    badge = {Severity.WARNING: "warns", Severity.ERROR: "fails"}
    assert [f'class="badge {badge[bad]}"' in row.badge for row, bad in zip(rows, found.values(), strict=True)] == [
        True
    ] * 2
    assert (shown.index("initech") < shown.index("acme")) is (severity is Severity.ERROR)


def test_a_new_examination_is_shown_without_a_new_snapshot() -> None:
    page, running = PlatformsPage(), Running(snapshot())
    platform = ServedPlatform("acme", {}, (), running)
    assert page.row(platform).state == "up"
    running.examined = (Finding("x", Severity.ERROR, "Found", "It is so.", "Mend it."),)
    assert page.row(platform).state == "troubled"


@pytest.mark.parametrize(("reading", "cell"), [({("ping",): 1.0}, "on"), ({("ping",): 0.0}, "off"), ({}, "")])
def test_a_ping_is_on_where_it_may_be_sent_also_before_the_first(
    reading: dict[tuple[str, ...], float], cell: str
) -> None:
    """As `check` and the metric say; that another bridge of the platform sends it is said on its own page."""
    running = Running(snapshot())
    running.self_metrics.replace(OUTPUT_ENABLED, reading)
    row = PlatformsPage().row(ServedPlatform("acme", {}, (), running))
    assert row.cells.endswith(f'<td class="value">{cell}</td>\n<td></td>\n')


@pytest.mark.parametrize("path", ["/", "/platforms/broken/"])
def test_everything_a_page_loads_is_its_own(path: str) -> None:
    listed = PlatformsApp(SystemClock(), Workers())
    listed.serve([ServedPlatform("broken", {}, ("this is not YAML",), None)])

    async def load() -> tuple[Reply, list[Reply]]:
        page = await ask(listed, path)
        return page, [await ask(listed, urljoin(path, address)) for address in Page(page.text).external]

    page, loaded = asyncio.run(load())
    assert "this is not YAML" in page.text
    assert [each.status for each in loaded] == [200, 200]
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("asked", ["/observe", "/observe/"])
def test_the_addresses_of_the_list_hold_where_it_is_mounted(asked: str) -> None:
    listed = PlatformsApp(SystemClock(), Workers())
    listed.serve([ServedPlatform("broken", {}, (), None)])
    page = Page(get(listed, asked, root_path="/observe").text)
    addresses = [urljoin(asked, address) for address in (*page.external, *page.links[1:])]
    assert addresses == ["/observe/favicon.ico", "/observe/status.css", "/observe/platforms/broken/"]
    assert [get(listed, each, root_path="/observe").status for each in addresses] == [200, 200, 503]


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/platforms/broken/", 503)])
def test_a_problem_with_a_file_whose_name_is_no_utf_8_is_shown(path: str, status: int) -> None:
    listed, file = PlatformsApp(SystemClock(), Workers()), os.fsdecode(b"/opt/fl\xf6w/etc/flowforge.yml")
    listed.serve([ServedPlatform("broken", {}, (f"{file}: this is not YAML",), None)])
    reply = get(listed, path)
    assert reply.status == status
    assert "/opt/fl\N{REPLACEMENT CHARACTER}w/etc/flowforge.yml: this is not YAML" in reply.text
