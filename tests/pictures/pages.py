"""Pictures of pages."""

from pathlib import Path

from playwright.sync_api import Browser

from tests.pictures.__main__ import shrink

THEMES = ("light", "dark")


def photograph(launched: Browser, url: str, picture: Path, theme: str, width: int, height: int) -> None:
    """Take a picture of the whole page, as a window of that size shows it."""
    page = launched.new_page(
        color_scheme="dark" if theme == "dark" else "light", viewport={"width": width, "height": height}
    )
    page.goto(url)
    picture.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=picture, full_page=True)
    page.close()
    shrink(picture)
    print(f"{picture.name}: {picture.stat().st_size // 1024} KB", flush=True)
