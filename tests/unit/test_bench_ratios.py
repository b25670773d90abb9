"""Results of `make bench` are kept with what they depend on, and two of them are compared."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ratios


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratios, "_noted", {})


def result(directory: Path, name: str, cpu: str = "one", **of: tuple[float, str]) -> Path:
    path = directory / name
    kept = {ratio: {"ratio": number, "better": better, "target": None} for ratio, (number, better) in of.items()}
    machine = {"cpu": cpu, "python": "3.11.2"}
    path.write_text(json.dumps({"at": "2026-11-28", "commit": name, "machine": machine, "ratios": kept}))
    return path


def test_a_run_is_kept_with_its_commit_machine_and_ratios(tmp_path: Path) -> None:
    assert ratios.write(tmp_path / "none") is None
    ratios.note("scrape.times_rival", 2.50004, target=2.0)
    ratios.note("audit.unchanged", 1.07, less_is_better=True)
    path = ratios.write(tmp_path / "results")
    assert path is not None
    kept: dict[str, Any] = json.loads(path.read_text())
    assert kept["ratios"] == {
        "audit.unchanged": {"ratio": 1.07, "better": "less", "target": None},
        "scrape.times_rival": {"ratio": 2.5, "better": "more", "target": 2.0},
    }
    assert kept["commit"]
    assert kept["machine"].keys() == {"cpu", "cores", "memory_mib", "system", "python", "load"}
    assert all(value not in (None, "", 0) for name, value in kept["machine"].items() if name != "load")
    assert path.name.startswith(kept["at"][:10])


def test_what_got_worse_by_more_than_noise_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = result(
        tmp_path, "old", speed=(4.0, "more"), cost=(1.0, "less"), same=(1.0, "less"), gone=(1, "more"), up=(1.0, "more")
    )
    new = result(
        tmp_path, "new", speed=(3.3, "more"), cost=(1.2, "less"), same=(1.1, "less"), made=(1, "more"), up=(1.3, "more")
    )
    assert ratios.main([str(old), str(new)]) == 1
    told = capsys.readouterr().out
    assert [(line.split()[0], line.split()[-1]) for line in told.splitlines()[2:]] == [
        ("cost", "worse"),
        ("same", "1.10"),
        ("speed", "worse"),
        ("up", "better"),
    ]
    assert ratios.main([str(old), str(old)]) == 0


def test_other_machines_are_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(result(tmp_path, name, cpu=name, speed=(1.0, "more"))) for name in ("one", "two")]
    assert ratios.main(files) == 0
    assert "The machines differ" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ratios": 1}'])
def test_what_is_no_result_is_named(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        ratios.main([str(path), str(path)])
    assert ended.value.code == 2
    assert "not results of make bench" in capsys.readouterr().err


def test_it_takes_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ratios, "KEPT", tmp_path)
    result(tmp_path, "only.json")
    with pytest.raises(SystemExit):
        ratios.main([])
    assert "two results are needed" in capsys.readouterr().err
