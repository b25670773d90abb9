"""What the commands print of what others say: escaped, and redacted before that."""

import json
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.outputs.ping import participation
from ff_observe.outputs.ping.election import ElectionState, Role
from ff_observe.problems import Finding, Severity
from ff_observe.source_maps import upload
from ff_observe.web import local
from tests.real_parts.bridge import home_with
from tests.real_parts.many_platforms import sqlite_home


@pytest.mark.parametrize("command", ["check", "doctor"])
def test_what_others_say_controls_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    named = "ab\x1b[2J\n\x9b8m.db"
    home = home_with(tmp_path / "home", f"  type: sqlite\n  storage: {json.dumps(named)}\n", "  enabled: false\n")
    assert main(["--home", str(home), command]) == 1
    shown = capsys.readouterr().out
    assert r"ab\x1b[2J\n\x9b8m.db is not there" in shown
    assert not set(shown) & {"\x1b", "\x9b"}
    assert main(["--home", str(home), command, "--json"]) == 1
    assert any(f"{named} is not there" in text for text in _texts(json.loads(capsys.readouterr().out)))


def _texts(answer: object) -> list[str]:
    if isinstance(answer, dict | list):
        return [text for part in (answer.values() if isinstance(answer, dict) else answer) for text in _texts(part)]
    return [str(answer)]


@pytest.mark.parametrize("command", ["check", "doctor"])
@pytest.mark.parametrize("form", ["--json", ""])
def test_what_others_say_is_redacted_before_it_is_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, form: str
) -> None:
    home = home_with(tmp_path / "home", "  type: sqlite\n  storage: none.db\n", "  enabled: false\n")
    said = "of the file\npassword: hunter2\nin it"  # recognised at the end of its line
    found = Finding("x", Severity.ERROR, "It fails", said, "Mend it.")
    monkeypatch.setattr("ff_observe.problems.find_problems", lambda *_: [found])
    assert main(["--home", str(home), command, *filter(None, [form])]) == 1
    shown = capsys.readouterr().out
    assert "hunter2" not in shown
    assert "********" in shown


@pytest.mark.parametrize("status", [200, 503])
def test_the_answer_of_a_server_that_is_asked_for_its_health_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(local, "ask", lambda *_: (status, "fine\x1b[2J\nff-observe: fine \x9b8m\n"))
    main(["health", "--url", "http://127.0.0.1:9"])
    said = capsys.readouterr()
    assert (said.out + said.err).endswith("fine\\x1b[2J\\nff-observe: fine \\x9b8m\n")


def test_what_sentry_cli_says_controls_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "upload_source_maps", lambda *_, show, **__: show("error: \x1b[2J\x9b8m"))
    assert main(["sentry", "sourcemaps", "."]) == 0
    assert capsys.readouterr().out == "error: \\x1b[2J\\x9b8m\n"


@pytest.mark.parametrize("role", [Role.UNKNOWN, Role.ALONE])
def test_the_reason_for_a_ping_controls_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    state = ElectionState(role, may_send=True, note="\x1b[2J\nff-observe: no \x9b8m")
    monkeypatch.setattr(participation, "observe_election", lambda *_: state)
    assert main(["--home", str(sqlite_home(tmp_path, "  url: http://127.0.0.1:9/ping\n")), "ping", "why"]) == 0
    said = capsys.readouterr()
    assert said.err == ("ff-observe: \\x1b[2J\\nff-observe: no \\x9b8m\n" if role is Role.ALONE else "")
    assert ("(\\x1b[2J\\nff-observe: no \\x9b8m)" in said.out) is (role is Role.UNKNOWN)
    assert len(said.out.splitlines()) == 2
