"""What is checked before source maps leave, and what the user is told. No token here ever gets as far as sentry-cli."""

import base64
import contextlib
import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.config.settings import FrontendSentrySettings, FrontendSettings
from ff_observe.errors import SourceMapsError
from ff_observe.frontend import Script, render_page, snippets
from ff_observe.source_maps.upload import NO_TOKEN, upload_source_maps
from tests.other_users import unable_to_enter

ENVIRONMENT = {"SENTRY_AUTH_TOKEN": "planted-token", "SENTRY_ORG": "o", "SENTRY_PROJECT": "p"}
GOOD_MAP: Mapping[str, object] = {"version": 3, "sources": ["a.js"], "sourcesContent": ["let a"], "mappings": "AAAA"}


ID, OTHER_ID = "85314830-023f-4cf1-a267-535f4e37bb17", "0b2ac6b2-8a5a-4b0e-8f2c-5f6a3f6c0d11"
IDENTIFIED = f"//# sourceMappingURL=a.js.map\n//# debugId={ID}"


def sentry_script(release: str | None) -> tuple[Script, ...]:
    return snippets(FrontendSettings(sentry=FrontendSentrySettings("https://k@sentry.test/1")), "test", release)


NOTE_OF_INLINE = (
    "note: inline.mjs: its map is within it, so visitors load your sources too, and not every server reads it there"
)


def encoded(content: object) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


Files = Mapping[str, str | Mapping[str, object]]
BUNDLE: Files = {"a.js": "//# sourceMappingURL=a.js.map", "a.js.map": GOOD_MAP}


def write(directory: Path, files: Files = BUNDLE) -> Path:
    built = directory / "dist"
    built.mkdir()
    for name, content in files.items():
        path = built / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return built


def plan(built: Path, **named: str | None) -> list[str]:
    """The lines a dry run shows."""
    said: list[str] = []
    upload_source_maps(
        built,
        environment=ENVIRONMENT,
        show=said.append,
        dry_run=True,
        working_directory=built.parent,
        release=named.get("release", "flowfuse@1.0.0"),
        page_release=lambda: named.get("page_release"),
    )
    return said


def test_without_a_token_nothing_is_done_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    upload_source_maps(
        tmp_path / "absent",
        environment={},
        show=said.append,
        page_release=lambda: pytest.fail("a build that does not upload needs no configuration"),
        working_directory=tmp_path,
    )
    assert said == [NO_TOKEN]


def test_a_dry_run_without_a_token_still_shows_the_plan(tmp_path: Path) -> None:
    built = write(tmp_path)
    said: list[str] = []
    upload_source_maps(built, environment={}, show=said.append, release="r@1", dry_run=True, working_directory=tmp_path)
    assert said == [NO_TOKEN, "would upload 1 source maps for release r@1 to Sentry:", "  a.js: a.js.map, 1 sources"]


@pytest.mark.parametrize(
    "reference",
    ["//# sourceMappingURL=a.js.map", "//@ sourceMappingURL=a.js.map\r\n", "//# sourceMappingURL=./a.js.map?v=1",
     "//#sourceMappingURL=a.js.map", "//# sourceMappingURL=/a.js.map", "//# sourceMappingURL=a.js.map#x",
     "//# sourceMappingURL=old.map\n//# sourceMappingURL=a.js.map\n\n//# debugId=0"],
)  # fmt: skip
def test_a_reference_is_read_as_browsers_read_it(tmp_path: Path, reference: str) -> None:
    built = write(tmp_path, {"a.js": f"a\n{reference}", "a.js.map": GOOD_MAP})
    assert plan(built)[-1] == "  a.js: a.js.map, 1 sources"


@pytest.mark.parametrize("identified", [{}, {"debugId": ID}, {"debug_id": ID.upper()}])
def test_a_bundle_that_was_uploaded_before_is_fine(tmp_path: Path, identified: Mapping[str, object]) -> None:
    bundle = IDENTIFIED if identified else BUNDLE["a.js"]
    built = write(tmp_path, {"a.js": bundle, "a.js.map": {**GOOD_MAP, **identified}})
    assert plan(built)[-1] == "  a.js: a.js.map, 1 sources"


def test_maps_in_bundles_index_maps_and_guarded_maps_are_fine(tmp_path: Path) -> None:
    files: Files = {
        "inline.mjs": f"a\n//# sourceMappingURL=data:application/json;charset=utf-8;base64,{encoded(GOOD_MAP)}",
        "sub/index.cjs": "a\n//# sourceMappingURL=../maps/index.map",
        "maps/index.map": {"version": 3, "sections": []},
        "guarded.js": "a\n//# sourceMappingURL=guarded.js.map",
        "guarded.js.map": ")]}'\n" + json.dumps(GOOD_MAP),
    }
    assert plan(write(tmp_path, files)) == [
        NOTE_OF_INLINE,
        "would upload 3 source maps for release flowfuse@1.0.0 to o/p at https://sentry.io:",
        "  guarded.js: guarded.js.map, 1 sources",
        "  inline.mjs: the map within it, 1 sources",
        "  sub/index.cjs: maps/index.map, 0 sources",
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "there is no bundle with a source map"),
        ({"a.js": "a"}, "there is no bundle with a source map"),
        ({"a.js": "a", "a.js.map": GOOD_MAP}, "a.js: does not refer to a.js.map: end it with //# sourceMappingURL="),
        ({"a.js": "//# sourceMappingURL=b.js.map"}, "a.js: refers to b.js.map, which does not exist"),
        ({"a.js": "//# sourceMappingURL=https://cdn.test/a.js.map"}, "which is not a file in"),
        ({"a.js": "//# sourceMappingURL=../../etc/passwd"}, "which is outside"),
        ({"a.js": "//# sourceMappingURL=%00"}, "refers to %00, and sentry-cli does not decode"),
        ({"a.js": "//# sourceMappingURL=a\0"}, "which cannot be the name of a file"),
        ({"a.js": "//# sourceMappingURL=//["}, "refers to //[, which cannot be the name of a file"),
        ({"a.js": f"//# sourceMappingURL={'x' * 5000}"}, "which cannot be the name of a file"),
        ({"a b.js": "//# sourceMappingURL=a%20b.js.map", "a b.js.map": GOOD_MAP}, "sentry-cli does not decode the %"),
        ({"a.js": "//# sourceMappingURL=/m/a.js.map", "m/a.js.map": GOOD_MAP}, "which sentry-cli does not find"),
        ({"a.js": "//#sourceMappingURL=a.map", "a.map": GOOD_MAP}, "a.js: refers to its map without one space"),
        (
            {"a.js": f"//#\tsourceMappingURL=data:;base64,{encoded(GOOD_MAP)}"},
            "a.js: refers to its map without one space",
        ),
        ({"a.js": IDENTIFIED, "a.js.map": GOOD_MAP}, "a.js: its debug id is not that of its map a.js.map"),
        ({"a.js": IDENTIFIED, "a.js.map": {**GOOD_MAP, "debugId": OTHER_ID}}, "a.js: its debug id is not that of its"),
        ({"a.js": "//# sourceMappingURL=.m/a.map", ".m/a.map": GOOD_MAP}, "a.js: refers to .m/a.map, which sentry-cli"),
        (
            {"a.js": "//# sourceMappingURL=a.json", "a.json": GOOD_MAP},
            "a.js: refers to a.json, which sentry-cli passes",
        ),
        ({".a.js": "//# sourceMappingURL=b.js.map"}, ".a.js: refers to b.js.map, which does not exist"),
        ({"a.js": "//# sourceMappingURL=a.js.map", "a.js.map": "<html>"}, "its map a.js.map is not JSON"),
        ({"a.js": "//# sourceMappingURL=a.js.map", "a.js.map": "[" * 100_000}, "its map a.js.map is not JSON"),
        ({"a.js": "//# sourceMappingURL=a.js.map", "a.js.map": "[3]"}, "not a source map of version 3"),
        ({"a.js": "//# sourceMappingURL=a.js.map", "a.js.map": {**GOOD_MAP, "version": 2}}, "of version 3"),
        ({"a.js": "//# sourceMappingURL=a.js.map", "a.js.map": {**GOOD_MAP, "sources": []}}, "maps nothing"),
        ({"a.js": "//# sourceMappingURL=a.js.map", "a.js.map": {**GOOD_MAP, "mappings": ""}}, "maps nothing"),
        ({"a.js.map": GOOD_MAP}, "a.js.map: no bundle goes with this map"),
        ({"a.js": "//# sourceMappingURL=data:,{}"}, "a.js: its map within it is not in base64"),
        ({"a.js": "//# sourceMappingURL=data:;base64,!"}, "a.js: its map within it is broken"),
        ({"a.js": "//# sourceMappingURL=data:;base64,e30="}, "its map within it is not a source map of version 3"),
    ],
)
def test_a_build_that_is_not_fit_is_refused(tmp_path: Path, files: Files, message: str) -> None:
    built = write(tmp_path, files)
    with pytest.raises(SourceMapsError) as raised:
        plan(built)
    assert message in str(raised.value)
    assert "nothing was sent" in str(raised.value)


def test_what_is_linked_from_elsewhere_is_refused_for_sentry_cli_would_change_it(tmp_path: Path) -> None:
    built = write(tmp_path, {**BUNDLE, "same.js": "a"})
    (built / "again.js").symlink_to(built / "same.js")
    assert plan(built)[-1] == "  a.js: a.js.map, 1 sources"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.js").write_text("b")
    (built / "directory").symlink_to(elsewhere)
    (built / ".b.js").symlink_to(elsewhere / "b.js")
    with pytest.raises(SourceMapsError, match=r"(?s)  \.b\.js: is a link out of.*directory: is a link out of.*copy it"):
        plan(built)


@pytest.mark.parametrize("target", ["absent.js", "link.js", ".", "../dist"])
def test_a_link_on_which_sentry_cli_fails_is_refused(tmp_path: Path, target: str) -> None:
    built = write(tmp_path)
    (built / "link.js").symlink_to(target)
    with pytest.raises(SourceMapsError, match=r"link\.js: is a link to nothing or to a directory that it is in"):
        plan(built)


def test_a_hidden_directory_is_passed_over_as_sentry_cli_does(tmp_path: Path) -> None:
    built = write(tmp_path, {**BUNDLE, ".cache/b.js": "//# sourceMappingURL=x"})
    (tmp_path / "elsewhere").mkdir()
    (built / ".elsewhere").symlink_to(tmp_path / "elsewhere")
    (built / ".cache" / "broken").symlink_to("absent")
    assert plan(built)[-1] == "  a.js: a.js.map, 1 sources"


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    files: Files = {"a.js": "//# sourceMappingURL=gone.map", "b.js.map": GOOD_MAP}
    with pytest.raises(SourceMapsError, match=r"(?s)a\.js: refers.*b\.js\.map: no bundle"):
        plan(write(tmp_path, files))


def test_what_will_show_no_code_is_noted(tmp_path: Path) -> None:
    files: Files = {
        "a.js": "//# sourceMappingURL=a.js.map",
        "a.js.map": {**GOOD_MAP, "sources": ["a", "b"], "sourcesContent": ["let a", None]},
        "plain.js": "a",
    }
    assert plan(write(tmp_path, files))[:2] == [
        "note: a.js: 1 of its 2 sources are not in its map, so Sentry may show no code for them",
        "note: plain.js: has no source map, so errors in it show minified code",
    ]


def built_with_page(directory: Path, release: str | None) -> Path:
    built = write(directory)
    (built / "index.html").write_bytes(render_page(b"<head></head>", sentry_script(release)))
    (built / "other.html").write_text("<head></head>")
    return built


def test_the_release_is_that_of_the_page(tmp_path: Path) -> None:
    built = built_with_page(tmp_path, "flowfuse@2.4.0")
    assert "for release flowfuse@2.4.0 to" in plan(built, release=None)[0]


@pytest.mark.parametrize(
    ("in_page", "named"),
    [
        ("flowfuse@2.4.0", {"release": "flowfuse@2.4.1"}),
        (None, {"release": "flowfuse@2.4.0"}),
        (None, {"release": None}),
        ("flowfuse@2.4.0", {"release": None, "page_release": "flowfuse@2.3.0"}),
    ],
)
def test_a_release_the_page_will_not_report_is_refused(
    tmp_path: Path, in_page: str | None, named: dict[str, str | None]
) -> None:
    with pytest.raises(SourceMapsError, match=r"(?s)these differ:.*index\.html: "):
        plan(built_with_page(tmp_path, in_page), **named)


def test_a_release_other_than_the_configured_one_is_refused(tmp_path: Path) -> None:
    built = write(tmp_path)
    with pytest.raises(SourceMapsError, match=r"--release: flowfuse@1\n.*FlowFuse's version.*: flowfuse@2"):
        plan(built, release="flowfuse@1", page_release="flowfuse@2")
    assert "release flowfuse@2 " in plan(built, release=None, page_release="flowfuse@2")[0]


def test_an_unknown_release_is_asked_for(tmp_path: Path) -> None:
    built = write(tmp_path)
    with pytest.raises(SourceMapsError, match="say --release flowfuse@<version>"):
        plan(built, release=None)


def test_a_build_beside_a_flowfuse_that_it_may_not_look_at_is_asked_for_the_release(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (open_directory / "etc").mkdir()
    monkeypatch.setenv("FLOWFORGE_HOME", str(open_directory))
    built = write(open_directory)
    for rights in (contextlib.nullcontext(), unable_to_enter(open_directory / "etc")):  # the first loads the modules
        with rights:
            assert main(["sentry", "sourcemaps", str(built), "--dry-run"]) == 1
        assert "say --release flowfuse@<version>" in capsys.readouterr().err


@pytest.mark.parametrize("release", ["", "..", "a/b", "a\nb", "a\fb", "a\vb", "x" * 201, " padded ", "Latest"])
def test_a_release_sentry_would_not_take_is_refused(tmp_path: Path, release: str) -> None:
    built = write(tmp_path)
    with pytest.raises(SourceMapsError, match="is no release Sentry takes"):
        plan(built, release=release)


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceMapsError, match="absent is not a directory"):
        plan(tmp_path / "absent")


def test_without_sentry_cli_the_user_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = write(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceMapsError, match=r"pip install 'ff-observe\[build\]'"):
        upload_source_maps(
            built,
            environment=ENVIRONMENT,
            show=lambda line: None,
            release="r@1",
            working_directory=tmp_path,
        )


def test_a_bundle_that_cannot_be_read_is_a_problem_of_the_build(tmp_path: Path) -> None:
    built = write(tmp_path, {})
    (built / "a.js").symlink_to("/proc/self/mem")  # a file that opens and cannot be read, for root too
    with pytest.raises(SourceMapsError, match=r"a\.js: a\.js cannot be read: Input/output error"):
        plan(built)


def test_a_map_that_is_no_file_is_a_problem_of_the_build(tmp_path: Path) -> None:
    built = write(tmp_path, {"a.js": "//# sourceMappingURL=a.js.map"})
    (built / "a.js.map").mkdir()
    with pytest.raises(SourceMapsError, match=r"a\.js: refers to a\.js\.map, which does not exist"):
        plan(built)
    assert stat.S_ISDIR((built / "a.js.map").stat().st_mode)
