"""One spelling of release and environment for the backend, the page and the source maps."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentry_relay.processing import StoreNormalizer

from ff_observe.config.sentry_names import environment_name, release_name
from ff_observe.frontend import reported_release
from ff_observe.source_maps.upload import agree_on_release
from tests.frontend_commands import Platform

PAGE = b"<html><head></head><body></body></html>"


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("2.33.2", "flowfuse@2.33.2"),
        ("2.33.2/rc1", "flowfuse@2.33.2-rc1"),
        (" 2.33.2\n", "flowfuse@2.33.2-"),
        ("\\", "flowfuse@-"),
        ("x" * 200, "flowfuse@" + "x" * 100),
        ("", None),
        (None, None),
    ],
)
def test_a_release_is_flowfuses_without_what_sentry_refuses(version: str | None, release: str | None) -> None:
    assert release_name(version) == release


@pytest.mark.parametrize(
    ("name", "environment"),
    [("production", "production"), ("prod/eu", "prod-eu"), ("None", "unknown"), ("", "unknown"), ("x" * 65, "x" * 64)],
)
def test_an_environment_is_one_that_sentry_keeps(name: str, environment: str) -> None:
    assert environment_name(name) == environment


@given(st.text(max_size=120) | st.text("\u0434\u65e5", max_size=120))
def test_sentry_itself_keeps_environment_and_release(text: str) -> None:
    release = release_name(text) or "flowfuse@1"
    event = {"event_id": "0" * 32, "environment": environment_name(text), "release": release}
    normalised = StoreNormalizer(project_id=1).normalize_event(event)
    assert (normalised["environment"], normalised["release"]) == (event["environment"], release)


@given(st.text(max_size=220))
def test_a_release_is_one_that_source_maps_can_be_uploaded_for(version: str) -> None:
    release = release_name(version)
    if release is not None:
        assert agree_on_release(Path("/nonexistent"), None, release) == release


@given(st.text(max_size=120))
def test_a_legal_name_stays_as_it_is(text: str) -> None:
    environment, release = environment_name(text), release_name(text)
    assert environment_name(environment) == environment
    assert release is None or release_name(release.removeprefix("flowfuse@")) == release


def test_the_page_reports_release_and_environment_as_the_backend_does(tmp_path: Path) -> None:
    frontend = {"sentry": {"dsn": "https://key@sentry.example.com/1"}}
    platform = Platform(tmp_path / "home", frontend, version="2.33.2/rc1", SENTRY_ENV="prod/eu")
    page = platform.render(PAGE)
    assert reported_release(page) == (True, "flowfuse@2.33.2-rc1")
    assert b'"environment":"prod-eu"' in page.replace(b'": "', b'":"')
