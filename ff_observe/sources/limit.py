"""A limit on how long a blocking call of a database library may take."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def limited(seconds: float, abort: Callable[[], None]) -> Iterator[threading.Event]:
    """Call `abort` from another thread if the block takes longer. The event tells, after the block, whether it did."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        abort()

    timer = threading.Timer(seconds, expire)
    timer.name = "database time limit"
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()
