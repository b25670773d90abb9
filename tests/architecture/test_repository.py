"""Rules of the repository: what must not stand in any file, and what must."""

import ast
import io
import os
import re
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, Module, modules
from tests.deployment.matrix import FLOORS, PYTHONS
from tests.prose import RIDDLES

LONGEST_FILE_LINES = 400
RECORDED = ROOT / "tests" / "data"
"""What others wrote: real platforms and their answers."""

NOT_KEPT = {"build", "dist", "node_modules", "__pycache__"}

THIS = Path(__file__).resolve()  # it names what it forbids

FORBIDDEN = {
    "a place on somebody's machine": r"(?<![\w.}$>])/(?:home|Users|work|root|private/var)/\w",
    "the address of a package registry": (
        r"--(?:extra-)?index[-]url|--find[-]links|registry\.npmjs[.]org|pypi\.org[/]simple|files\.pythonhosted[.]org"
        r"|\"resolved\": *\"https?:"
    ),
    "something left to do": r"\b(?:TODO|FIXME|XXX)\b|NotImplementedError|pragma: *no cover",
}

OUTSIDE_HOSTS = {
    "ping.flowforge.com": {"ff_observe/config/declaration.py"},  # the documented default of telemetry.url
    "app.posthog.com": {"ff_observe/config/declaration.py"},  # the documented default of PostHog's apiurl
    "plausible.io": {"ff_observe/frontend/plausible.py"},  # where Plausible's script is; on only with a domain
    "sentry.io": {"ff_observe/source_maps/credentials.py"},  # the documented default of SENTRY_URL
}
"""Hosts the package may name, and where. Nothing else may contact, or point a browser to, another machine."""

NAMES_NOT_ADDRESSES = ("json-schema.org", "www.w3.org")
"""These stand in URLs that identify and are never fetched: `$schema`, XML namespaces."""


@cache
def kept_files() -> tuple[Path, ...]:
    """Every text file of the repository, but for what was recorded elsewhere."""
    found = []
    for directory, inner, leaves in os.walk(ROOT):
        inner[:] = [
            name
            for name in inner
            if name not in NOT_KEPT
            and not name.endswith(".egg-info")
            and (name[0] != "." or name in (".ci", ".github"))
        ]
        found += [Path(directory, leaf) for leaf in leaves]
    return tuple(
        path
        for path in sorted(found)
        if path != THIS
        and RECORDED not in path.parents
        and path.name != ".git"
        and b"\0" not in path.read_bytes()[:4096]
    )


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Place and text of each line."""
    file = path.relative_to(ROOT)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        yield f"{file}:{number}", line


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    assert [place for path in kept_files() for place, line in lines(path) if pattern.search(line)] == []


def test_prose_and_names_state_their_subject() -> None:
    """Of all but the tests, whose servers and users may be nobody's."""
    found = [
        f"{place}: {word}"
        for path in kept_files()
        if not path.is_relative_to(ROOT / "tests") and path != ROOT / "LICENSE"
        for place, line in lines(path)
        for word in RIDDLES.findall(line)
    ]
    assert found == [], "write who does what (tests/prose.py)"


def test_no_file_names_the_directory_it_stands_in() -> None:
    assert [place for path in kept_files() for place, line in lines(path) if f"{ROOT}/" in line] == []


@pytest.mark.parametrize(
    "line", ["cd /home/ann/x", "at /Users/ann", "see files.pythonhosted.org/x", "# TODO: later", "FIXME"]
)
def test_the_rules_find_what_they_forbid(line: str) -> None:
    assert any(re.search(pattern, line) for pattern in FORBIDDEN.values())


@pytest.mark.parametrize("line", ["/var/home/x", "https://h.example/home/x", "$HOME/home/x", "{root}/root/x"])
def test_the_rules_let_pass_what_is_no_place_on_a_machine(line: str) -> None:
    assert not any(re.search(pattern, line) for pattern in FORBIDDEN.values())


def test_files_are_one_room_each() -> None:
    long = {path.name: len(list(lines(path))) for path in kept_files() if path.suffix == ".py"}
    assert {name: count for name, count in long.items() if count > LONGEST_FILE_LINES} == {}


def comments(path: Path) -> Iterator[tuple[str, str, str]]:
    """Place, text and the line above of each comment."""
    text = path.read_text(encoding="utf-8")
    above = ["", *text.splitlines()]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string, above[token.start[0] - 1].strip()


SUPPRESSION = re.compile(
    r"#\s*(?:noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type:\s*ignore(?:\[[\w, -]+\])?)(?P<reason>.*)"
)


def test_every_suppression_names_its_rule_and_its_reason() -> None:
    """The reason stands behind it, or in a comment of its own above."""
    bare = []
    for path in kept_files():
        if path.suffix != ".py" or not SUPPRESSION.search(path.read_text(encoding="utf-8")):
            continue
        for place, comment, above in comments(path):
            found = SUPPRESSION.search(comment)
            if found is None:
                continue
            names_rule = re.search(r"noqa:|ignore\[", found.group())
            reason = found["reason"].strip(" #()-:")
            if not names_rule or (len(reason.split()) < 2 and not above.startswith("#")):
                bare.append(f"{place}: {comment}")
    assert bare == []


def texts(module: Module) -> Iterator[str]:
    """The string constants of a module, without docstrings and other strings that only stand there."""
    standing = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in standing:
            yield node.value


def outside_hosts(text: str) -> set[str]:
    """The hosts of the URLs in `text` that are neither loopback nor reserved for examples (RFC 2606)."""
    hosts = set(re.findall(r"(?:https?:)?//([a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+)", text))
    return {
        host
        for host in hosts
        if not re.fullmatch(r"127\.\d+\.\d+\.\d+|0\.0\.0\.0", host)
        and not host.endswith((".example", "example.com", "example.org", ".invalid", ".test"))
        and host not in NAMES_NOT_ADDRESSES
    }


def test_the_package_names_no_other_machine_but_the_documented_ones() -> None:
    named: dict[str, set[str]] = {}
    for module in modules():
        for text in texts(module):
            for host in outside_hosts(text):
                named.setdefault(host, set()).add(module.place)
    for path in kept_files():
        if ROOT / "ff_observe" in path.parents and path.suffix in (".html", ".css", ".js"):
            for host in outside_hosts(path.read_text(encoding="utf-8")):
                named.setdefault(host, set()).add(str(path.relative_to(ROOT)))
    elsewhere = {host: places - OUTSIDE_HOSTS.get(host, set()) for host, places in named.items()}
    assert not any(elsewhere.values()), elsewhere


def test_tests_do_not_sleep() -> None:
    """Only the waiting for a real program may: `tests/real_parts`."""
    asleep = [
        place
        for path in kept_files()
        if ROOT / "tests" in path.parents and path.suffix == ".py" and path.parent.name != "real_parts"
        for place, line in lines(path)
        if re.search(r"\btime\.sleep\(", line)
    ]
    assert asleep == []


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "PRIVACY.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
        ".ci/run",
    ],
)
def test_what_a_good_project_has_is_there(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_the_readme_states_the_share_of_the_code_below_which_make_coverage_fails() -> None:
    report = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["coverage"]["report"]
    (stated,) = re.findall(r"at least (\d+) % of the lines and branches", (ROOT / "README.md").read_text("utf-8"))
    assert int(stated) == report["fail_under"]


def test_contributing_states_the_share_of_the_lines_below_which_ci_fails() -> None:
    (python,) = (each for each in PYTHONS if f"python-{each}" in (ROOT / ".ci" / "run").read_text("utf-8"))
    told = " ".join((ROOT / "CONTRIBUTING.md").read_text("utf-8").split())
    assert f"fewer than {FLOORS[python]} % of the lines" in told
