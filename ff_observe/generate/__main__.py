"""`python -m ff_observe.generate [--check]`: for those who work on ff-observe, from a checkout of its repository."""

import argparse
import logging
import sys
from pathlib import Path

from ff_observe.generate import dashboards, documents

log = logging.getLogger("generate")

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Write what is outdated; with `--check`, only name it and return 1. Speaks through the log, to stderr."""
    parser = argparse.ArgumentParser(prog="python -m ff_observe.generate", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a document is outdated")
    check: bool = parser.parse_args(arguments).check
    all_made = dashboards.can_be_made()
    if not all_made:
        log.error("the dashboards are left out: they need %s (pip install --group test)", dashboards.LIBRARY)
    if check:
        paths = documents.outdated(root)
        for path in paths:
            log.error("%s is outdated; run: make generate", path)
        return 1 if paths or not all_made else 0
    for path in documents.write(root):
        log.info("wrote %s", path)
    return 0 if all_made else 1


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.exit(main())
