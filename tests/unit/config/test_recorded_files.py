"""The files that real FlowFuse platforms were started with, and what these platforms then reported."""

from collections.abc import Callable
from typing import Any

import pytest

from ff_observe.config import load_settings
from ff_observe.config.settings import PostgreSQLDatabase, Settings, SQLiteDatabase
from ff_observe.errors import ConfigurationError
from tests.recordings import PROBES, Case, cases, frontends, probes

# FlowFuse takes each of these for "on" and pings; it is our error that says what to write.
STRINGS_FOR_BOOLEANS = {"gate-yml-no-ce", "gate-yml-off-ce", "gate-yml-string-false-ce", "gate-yml-zero-ce"}
# FlowFuse starts and never delivers a ping.
UNUSABLE_URLS = {"post-ftp", "post-nohost"}
# FlowFuse does not start.
NO_DRIVER_TYPE = {"cfg-driver-notype"}
# FlowFuse reports whether its mail connection works, which neither file nor database shows: documented difference.
LIVE_MAIL = {"cfg-email-smtp-refused", "cfg-email-ses"}
BY_FILE = {
    "gate-yml-False-ce": False,
    "gate-yml-false-ce": False,
    "gate-yml-absent-ce": True,
    "gate-yml-null-ce": True,
}
"""What the file says of consent."""


def each(accepted: Callable[[str], object]) -> pytest.MarkDecorator:
    """Run with each probe whose name is accepted."""
    found = [probe for probe in probes() if accepted(probe.name)]
    return pytest.mark.parametrize("probe", found, ids=lambda probe: probe.id)


def load_case(case: Case) -> Settings:
    return load_settings(home=case.home, config=case.home / "flowforge.yml", variables={})


def reported(settings: Settings) -> dict[str, Any]:
    """`platform.config` of a ping."""
    platform = settings.platform
    return {
        "driver": platform.driver,
        "broker": {"enabled": platform.broker},
        "fileStore": {"enabled": platform.file_store},
        "email": {"enabled": platform.email},
    }


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_file_of_a_recorded_platform_is_read_without_a_word(case: Case) -> None:
    settings = load_settings(home=case.home, variables={})
    assert settings.warnings == ()
    assert isinstance(settings.database, PostgreSQLDatabase if case.is_postgresql else SQLiteDatabase)
    if isinstance(settings.database, SQLiteDatabase):
        assert settings.database.path.is_file()
    if case.ping is not None:
        ours, theirs = reported(settings), case.ping["platform"]["config"]
        assert ours == theirs


@each(lambda name: name not in STRINGS_FOR_BOOLEANS | UNUSABLE_URLS | NO_DRIVER_TYPE)
def test_the_features_of_a_probe_are_those_the_platform_reported(probe: Case) -> None:
    settings = load_case(probe)
    assert settings.warnings == ()
    if probe.ping is None:
        return
    ours, theirs = reported(settings), dict(probe.ping["platform"]["config"])
    if probe.name in LIVE_MAIL:
        assert (ours.pop("email"), theirs.pop("email")) == ({"enabled": True}, {"enabled": False})
    assert ours == theirs


@each(STRINGS_FOR_BOOLEANS.__contains__)
def test_what_flowfuse_takes_for_an_opt_in_by_mistake_is_an_error_here(probe: Case) -> None:
    assert probe.ping is not None
    with pytest.raises(ConfigurationError) as caught:
        load_case(probe)
    (problem,) = caught.value.problems
    assert problem.key == "telemetry.enabled"
    assert "write false" in problem.message


@each((UNUSABLE_URLS | NO_DRIVER_TYPE).__contains__)
def test_what_flowfuse_cannot_work_with_is_an_error_here(probe: Case) -> None:
    assert probe.ping is None
    with pytest.raises(ConfigurationError):
        load_case(probe)


@each(BY_FILE.__contains__)
def test_the_file_opts_out_where_the_platform_did(probe: Case) -> None:
    enabled = BY_FILE[probe.name]
    assert load_case(probe).ping.enabled is enabled
    assert (probe.ping is None) is (enabled is False)


@each("gate-housekeeper-false".__eq__)
def test_the_housekeeper_is_off_where_the_platform_was_silent_for_it(probe: Case) -> None:
    assert not load_case(probe).platform.housekeeper


@pytest.mark.parametrize("served", frontends(), ids=lambda case: case.id)
def test_the_file_of_a_served_page_is_read_without_a_word(served: Case) -> None:
    settings = load_case(served)
    assert settings.warnings == ()
    assert settings.prometheus.enabled
    if settings.frontend.posthog:
        assert settings.frontend.posthog.apikey in (served.home / "index.html").read_text()


def test_every_probe_and_page_has_a_reduced_counterpart() -> None:
    for found, number in ((probes(), PROBES), (frontends(), 13)):
        reduced = {case.name for case in found if case.id == case.name}
        assert len(reduced) == number
        assert {case.name for case in found} == reduced
