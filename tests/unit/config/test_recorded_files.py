"""The files that real FlowFuse platforms were started with, and what these platforms then reported."""

from pathlib import Path
from typing import Any

import pytest

from ff_observe.config import load_settings
from ff_observe.config.settings import PostgreSQLDatabase, Settings, SQLiteDatabase
from ff_observe.errors import ConfigurationError
from tests.recordings import ALL, MISSING, Case, all_present, cases

PROBES = sorted(path.parent for path in ALL.glob("probes/*/meta.json"))
FRONTEND = sorted(path.parent for path in ALL.glob("frontend/*/flowforge.yml"))

# FlowFuse takes each of these for "on" and pings; it is our error that says what to write.
STRINGS_FOR_BOOLEANS = {"gate-yml-no-ce", "gate-yml-off-ce", "gate-yml-string-false-ce", "gate-yml-zero-ce"}
# FlowFuse starts and never delivers a ping.
UNUSABLE_URLS = {"post-ftp", "post-nohost"}
# FlowFuse does not start.
NO_DRIVER_TYPE = {"cfg-driver-notype"}
# FlowFuse reports whether its mail connection works, which neither file nor database shows: documented difference.
LIVE_MAIL = {"cfg-email-smtp-refused", "cfg-email-ses"}


def name_of(path: Path) -> str:
    return path.name


@pytest.fixture
def recordings() -> None:
    """The recordings that are not committed."""
    if not all_present():
        pytest.skip(MISSING)


def load_case(directory: Path) -> Settings:
    return load_settings(home=directory, config=directory / "flowforge.yml", variables={})


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


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize(
    "probe",
    [path for path in PROBES if path.name not in STRINGS_FOR_BOOLEANS | UNUSABLE_URLS | NO_DRIVER_TYPE],
    ids=name_of,
)
def test_the_features_of_a_probe_are_those_the_platform_reported(probe: Path) -> None:
    case = Case(probe)
    settings = load_case(probe)
    assert settings.warnings == ()
    if case.ping is None:
        return
    ours, theirs = reported(settings), case.meta["ping_config_license"]["config"]
    if probe.name in LIVE_MAIL:
        assert (ours.pop("email"), theirs.pop("email")) == ({"enabled": True}, {"enabled": False})
    assert ours == theirs


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize("name", sorted(STRINGS_FOR_BOOLEANS))
def test_what_flowfuse_takes_for_an_opt_in_by_mistake_is_an_error_here(name: str) -> None:
    assert Case(ALL / "probes" / name).ping is not None
    with pytest.raises(ConfigurationError) as caught:
        load_case(ALL / "probes" / name)
    (problem,) = caught.value.problems
    assert problem.key == "telemetry.enabled"
    assert "write false" in problem.message


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize("name", sorted(UNUSABLE_URLS | NO_DRIVER_TYPE))
def test_what_flowfuse_cannot_work_with_is_an_error_here(name: str) -> None:
    assert Case(ALL / "probes" / name).ping is None
    with pytest.raises(ConfigurationError):
        load_case(ALL / "probes" / name)


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize(
    ("name", "enabled"),
    [("False", False), ("false", False), ("absent", None), ("null", None)],
)
def test_the_file_opts_out_where_the_platform_did(name: str, enabled: bool | None) -> None:
    probe = ALL / "probes" / f"gate-yml-{name}-ce"
    assert load_case(probe).ping.enabled is enabled
    assert (Case(probe).ping is None) is (enabled is False)


@pytest.mark.usefixtures("recordings")
def test_the_housekeeper_is_off_where_the_platform_was_silent_for_it() -> None:
    assert not load_case(ALL / "probes" / "gate-housekeeper-false").platform.housekeeper


@pytest.mark.usefixtures("recordings")
@pytest.mark.parametrize("directory", FRONTEND, ids=name_of)
def test_a_recorded_frontend_file_is_read_without_a_word(directory: Path) -> None:
    settings = load_case(directory)
    assert settings.warnings == ()
    assert settings.prometheus.enabled
    page = directory / "index.html"
    if page.exists() and settings.frontend.posthog:
        assert settings.frontend.posthog.apikey in page.read_text()
