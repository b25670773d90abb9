"""Finds the files that come with this version besides its modules, in the wheel or in the checkout it runs from."""

from pathlib import Path


def installed_directory(kind: str, place: str) -> Path | None:
    """The directory of a kind of files, which is `place` in a checkout; None if it is in neither."""
    package = Path(__file__).parents[1]
    places = (package / "assets" / kind, package.parent / place)
    return next((found for found in places if found.is_dir()), None)
