"""Photographs the status page in every state, theme and size: `python -m tests.pictures.status_page [STATE ...]`."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.pictures.__main__ import PICTURES
from tests.pictures.pages import THEMES, photograph
from tests.real_parts import browser as browser_part
from tests.status_states import STATES, in_state, served

SIZES = {"phone": (390, 844), "laptop": (1280, 800), "wall": (1920, 1080)}


def main(states: Sequence[str]) -> int:
    """Photograph `states`, or all."""
    for state in states or STATES:
        with tempfile.TemporaryDirectory() as directory:
            _, application = in_state(STATES[state], Path(directory))
            with served(application) as (url, _), browser_part.browser() as launched:
                for theme in THEMES:
                    for size, (width, height) in SIZES.items():
                        picture = PICTURES / "status" / f"{state}-{theme}-{size}.png"
                        photograph(launched, f"{url}/", picture, theme, width, height)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
