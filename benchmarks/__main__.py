"""`python -m benchmarks [NAME ...]`: runs the benchmarks named, or all. Each is a module here with a `main()`."""

import argparse
import importlib
import pkgutil
import sys

import benchmarks
from benchmarks import ratios


def main() -> int:
    """Run them one after another: they measure this machine, and must have it to themselves."""
    known = sorted(found.name for found in pkgutil.iter_modules(benchmarks.__path__) if found.name[0] != "_")
    with_main = [name for name in known if _is_one(name)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(with_main) or 'none yet'}")
    wanted = parser.parse_args().names or with_main
    for name in wanted:
        if name not in with_main:
            parser.error(f"there is no benchmark {name!r}; there are: {', '.join(with_main)}")
    for name in wanted:
        print(f"== {name}", flush=True)
        sys.argv = [name]  # each reads options of its own when it is run alone
        importlib.import_module(f"benchmarks.{name}").main()
    if kept := ratios.write():
        print(f"== ratios in {kept}; make bench-compare compares the newest two")
    return 0


def _is_one(name: str) -> bool:
    return name != "ratios" and hasattr(importlib.import_module(f"benchmarks.{name}"), "main")


if __name__ == "__main__":
    sys.exit(main())
