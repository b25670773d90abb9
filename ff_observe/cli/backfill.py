"""The options of the commands that write the past for Prometheus."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import BinaryIO, Final

from ff_observe.cli.files import replaced
from ff_observe.errors import UsageError

HEAD_HOURS: Final = 3
"""Prometheus keeps the last hours in memory: blocks may not overlap them (promtool, "Backfilling")."""


def add_target(parser: argparse.ArgumentParser, example: str) -> None:
    """Add `--label` and `--output`."""
    parser.add_argument(
        "--label", action="append", default=[], metavar="NAME=VALUE", help=f"a label of every sample: {example}"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to FILE (default: standard output)")


def labels_of(options: argparse.Namespace) -> dict[str, str]:
    """The labels that every sample gets. Raises `UsageError`."""
    return dict(_label(text) for text in options.label)


def output_of(options: argparse.Namespace) -> contextlib.AbstractContextManager[BinaryIO]:
    """Where the samples go."""
    return contextlib.nullcontext(sys.stdout.buffer) if options.output is None else replaced(options.output)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier() or not name.isascii() or name.startswith("__"):
        raise UsageError(f"{text!r} is not a label such as job=flowfuse")
    return name, value
