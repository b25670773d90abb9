"""The wheel and the sdist: the same bytes from everybody's build, with all that an operator is promised in them."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from ff_observe.cli import main
from ff_observe.cli.assets import KINDS
from ff_observe.web.status.further import documents, drawings
from tests.deployment import locks, sbom
from tests.deployment.distribution import built, copied, namespaces
from tests.plain_machine import TOP


@pytest.fixture(scope="module")
def built_here(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str]]:
    directory = tmp_path_factory.mktemp("built")
    return directory / "dist", built(copied(directory / "one", 0o022, 1_000_000_000), directory / "dist")


@pytest.fixture(scope="module")
def wheel(built_here: tuple[Path, Mapping[str, str]]) -> Path:
    (found,) = built_here[0].glob("*.whl")
    return found


def test_umask_time_path_and_user_leave_no_trace(built_here: tuple[Path, Mapping[str, str]], tmp_path: Path) -> None:
    copy = copied(tmp_path / "another" / "place", 0o077, 1_700_000_000)
    assert built(copy, tmp_path / "dist", 0o077, 1000 if namespaces() else None) == built_here[1]


def test_a_wheel_holds_every_kind_of_asset_as_the_repository_has_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for kind, (place, _) in KINDS.items():
            files = [path for path in (TOP / place).rglob("*") if path.is_file()]
            assert files
            for path in files:
                packed = archive.read(f"ff_observe/assets/{kind}/{path.relative_to(TOP / place)}")
                assert packed == path.read_bytes(), path


def test_a_wheel_holds_every_document_that_the_bridge_serves(wheel: Path) -> None:
    place = "ff_observe/assets/docs/"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name.removeprefix(place).removesuffix(".md") for name in archive.namelist() if name.startswith(place)}
        assert packed == documents().keys() | drawings().keys()
        assert archive.read(f"{place}troubleshooting.md") == (TOP / "docs" / "troubleshooting.md").read_bytes()


def test_an_installed_wheel_names_its_assets(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    install = [
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(environment),
    ]
    subprocess.run([sys.executable, *install, str(wheel)], check=True, capture_output=True)
    command = [sys.executable, "-m", "ff_observe", "assets", "rules"]
    ended = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=environment, env={"PYTHONPATH": str(environment)}
    )
    rules = Path(ended.stdout.strip())
    assert rules == environment / "ff_observe" / "assets" / "rules"
    assert (rules / "flowfuse-alerts.yml").read_bytes() == (TOP / "grafana/rules/flowfuse-alerts.yml").read_bytes()
    assert (environment / "share" / "man" / "man1" / "ff-observe.1").is_file()


def test_assets_are_copied_over_those_of_another_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "monitoring"
    (target / "rules").mkdir(parents=True)
    (target / "rules" / "flowfuse-alerts.yml").write_text("old")
    (target / "rules" / "own.yml").write_text("kept")
    assert main(["assets", "--copy", str(target)]) == 0
    assert {path.name for path in target.iterdir()} == set(KINDS)
    assert (target / "rules" / "flowfuse-alerts.yml").read_bytes() == (
        TOP / "grafana" / "rules" / "flowfuse-alerts.yml"
    ).read_bytes()
    assert (target / "rules" / "own.yml").read_text() == "kept"
    assert str(target / "rules") in capsys.readouterr().out


def test_assets_that_cannot_be_written_are_an_error_with_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["assets", "rules", "--copy", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_the_bill_of_materials_is_valid_and_names_what_the_lock_installs(wheel: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if "/sboms/" in name)
        text = archive.read(name).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    named = {sbom.normalised(each["name"]): each["version"] for each in json.loads(text)["components"]}
    assert named == {name: version for name, version in locks.pinned(locks.RUN).items() if name in named}
    assert locks.pinned(locks.RUN).keys() - named.keys() <= {"tzdata", "colorama"}  # of Windows
    assert sbom.NOTICES.read_text() == sbom.notices(json.loads(text))
