"""What tests make or install once and keep between runs, of several suites at once too."""

import os
import shutil
from pathlib import Path


def cache_directory() -> Path:
    """Where real parts that no package of the system provides are kept between runs."""
    return Path(os.environ.get("FF_OBSERVE_CACHE") or Path.home() / ".cache" / "ff-observe")


def unfinished(directory: Path) -> Path:
    """A name beside a directory, under which this process makes it."""
    return directory.with_name(f"{directory.name}-{os.getpid()}")


def finish(directory: Path) -> None:
    """Give what is made under its `unfinished` name its own, unless another process was faster."""
    made = unfinished(directory)
    try:
        made.rename(directory)
    except OSError:
        if not directory.is_dir():
            raise
        shutil.rmtree(made)
