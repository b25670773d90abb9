"""The tops of two pictures for the README, so that its first command stays on the first screen: `make pictures`."""

from pathlib import Path
from typing import Final

from PIL import Image

from tests.pictures.__main__ import PICTURES

TOPS: Final = {
    "first-look-dashboard.png": "flowfuse-platform-light.png",
    "first-look-page.png": "status/all-well-light-laptop.png",
}


def top(picture: Path) -> Image.Image:
    """The part that is half as high as it is wide."""
    with Image.open(picture) as image:
        return image.crop((0, 0, image.width, image.width // 2))


if __name__ == "__main__":
    for name, whole in TOPS.items():
        top(PICTURES / whole).save(PICTURES / name, optimize=True)
