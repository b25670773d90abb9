"""Output for terminals alone: colours, and progress of work that takes longer than a second."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO

PATIENCE_SECONDS: Final = 1.0
READING: Final = "reading the platform's database"
_CODES: Final = {"red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def painted(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour, if `stream` is a terminal and neither `NO_COLOR` (no-color.org) nor a dumb terminal says
    otherwise."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def say(line: object) -> None:
    """A remark beside the answer, on standard error."""
    print(f"ff-observe: {line}", file=sys.stderr)


def legible(exact: str, stream: TextIO) -> str:
    """A text that programs read, for `stream`: a file gets it as it is; on a terminal what could control it is
    escaped."""
    from ff_observe.telemetry.log import escaped

    return "\n".join(map(escaped, exact.split("\n"))) if stream.isatty() else exact


def mapped(answer: Any, each: Callable[[str], str]) -> Any:
    """A JSON-like answer with `each` applied to its texts, but not to the names of its members."""
    if isinstance(answer, str):
        return each(answer)
    if isinstance(answer, dict):
        return {name: mapped(value, each) for name, value in answer.items()}
    return [mapped(value, each) for value in answer] if isinstance(answer, list) else answer


@contextlib.contextmanager
def progress(what: str, every_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Show on standard error what the block does and for how long, once it takes longer than a second. The line is
    erased at the end; without a terminal there is none."""
    if not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()
    said = threading.Thread(target=_say, args=(what, every_seconds, ended, sys.stderr), name="progress", daemon=True)
    said.start()
    try:
        yield
    finally:
        ended.set()
        said.join()


def _say(what: str, every_seconds: float, ended: threading.Event, stream: TextIO) -> None:
    times = 0
    while not ended.wait(every_seconds):
        times += 1
        stream.write(f"\r\x1b[Kff-observe: {what}, {times * every_seconds:.0f} s …")
        stream.flush()
    if times:
        stream.write("\r\x1b[K")
        stream.flush()
