"""`python -m ff_observe` is `ff-observe`."""

import sys

from ff_observe.cli import main

if __name__ == "__main__":
    sys.exit(main())
