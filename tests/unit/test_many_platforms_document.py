"""docs/many-platforms.md: every snippet works as it stands, but for the place of its files."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

import ff_observe
from ff_observe.cli import build_parser
from ff_observe.config.platforms import PLATFORMS_FILE, load_platforms
from ff_observe.lifecycle.workers import MOST, MOST_THREADS, SLOW_SECONDS
from ff_observe.web import platforms_app
from tests.real_parts.many_platforms import sqlite_home
from tests.real_parts.prometheus import MISSING, PROMTOOL

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "many-platforms.md").read_text("utf-8")
SYSTEMD = ROOT / "deploy" / "systemd"


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """The file of the document, with its homes below `tmp_path`."""
    sqlite_home(tmp_path / "srv" / "flowforge" / "acme")
    sqlite_home(tmp_path / "srv" / "initech")
    (tmp_path / "acme.env").write_text("SENTRY_ENV=acme\n")
    file = tmp_path / "platforms.yml"
    file.write_text(snippets("yaml")[0].replace("/srv/", f"{tmp_path}/srv/"))
    return file


def test_the_list_is_read(listed: Path) -> None:
    acme, initech = load_platforms(listed, {}).platforms
    assert acme.settings is not None
    assert acme.settings.environment.sentry_env == "acme"
    assert acme.labels == {"customer": "Acme", "tier": "gold"}
    assert initech.settings is not None
    assert initech.settings.home == listed.parent / "srv" / "initech"
    assert [each.name for each in load_platforms(listed.parent / "srv" / "flowforge", {}).platforms] == ["acme"]


def test_the_program_holds_them(listed: Path) -> None:
    [program] = snippets("python")
    names: dict[str, object] = {}
    exec(program.replace("/etc/ff-observe/platforms.yml", str(listed)), names)
    bridge = names["bridge"]
    assert isinstance(bridge, ff_observe.Bridge)
    assert set(bridge.platforms) == {"acme", "initech"}


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    if PROMTOOL is None:
        pytest.skip(MISSING)
    (tmp_path / "prometheus.yml").write_text(snippets("yaml")[1])
    checked = subprocess.run([PROMTOOL, "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    discovery = yaml.safe_load(snippets("yaml")[1])["scrape_configs"][0]["http_sd_configs"][0]
    assert discovery["url"].endswith(platforms_app.TARGETS_PATH)


def test_its_commands_are_as_they_are() -> None:
    for line in "".join(snippets("sh")).splitlines():
        program, *arguments = shlex.split(line)
        if program == "ff-observe":
            assert build_parser().parse_args(arguments).platforms
        else:
            unit = arguments[-1].partition("@")
            name = "".join(unit[:2]) if unit[1] else unit[0]
            assert (SYSTEMD / name).exists() or (SYSTEMD / f"{name}.service").exists(), line


def test_it_names_every_key_every_path_and_the_limits_as_they_are() -> None:
    for key in PLATFORMS_FILE.keys:
        assert f"`{key.path}`" in TEXT
    for path in (platforms_app.TARGETS_PATH, platforms_app.PROBE_PATH, platforms_app.METRICS_PATH, platforms_app.BELOW):
        assert f"`{path}" in TEXT
    assert (MOST, MOST_THREADS, SLOW_SECONDS) == (16, 64, 2.0)
    assert "Sixteen workers" in TEXT
    assert "longer than 2 s is replaced, up to 64 threads" in TEXT
