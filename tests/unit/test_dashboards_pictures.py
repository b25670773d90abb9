"""The pictures: committed for every dashboard, small, and made by a tool that may be absent."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from ff_observe.generate.dashboards import TITLES
from tests.pictures import __main__ as pictures
from tests.pictures import first_look

MAX_BYTES = 200_000
WIDTH = 1400


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("uid", TITLES)
def test_each_dashboard_has_a_small_picture_in_each_theme(uid: str, theme: str) -> None:
    picture = pictures.PICTURES / f"{uid}-{theme}.png"
    assert picture.stat().st_size < MAX_BYTES
    with Image.open(picture) as image:
        assert image.width == WIDTH


@pytest.mark.parametrize(("name", "whole"), first_look.TOPS.items())
def test_the_readme_shows_the_top_of_todays_pictures(name: str, whole: str) -> None:
    assert f"](docs/pictures/{name})" in (pictures.ROOT / "README.md").read_text()
    with Image.open(pictures.PICTURES / name) as image:
        shown, today = image.convert("RGB"), first_look.top(pictures.PICTURES / whole).convert("RGB")
        assert shown.tobytes() == today.tobytes(), "run: python -m tests.pictures.first_look"


def test_without_the_renderer_it_is_said_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pictures, "RENDERER", tmp_path)
    assert pictures.main([]) == 2
    assert "FF_OBSERVE_DASHBOARD_RENDER" in capsys.readouterr().err


def test_the_last_moment_is_not_soon_after_midnight() -> None:
    noon = datetime(2026, 11, 23, 12, 0, 7, tzinfo=UTC)
    assert pictures.last_moment(noon) == noon.replace(second=0)
    assert pictures.last_moment(noon.replace(hour=1)) == datetime(2026, 11, 22, 23, 50, tzinfo=UTC)
