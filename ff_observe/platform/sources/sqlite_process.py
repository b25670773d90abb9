"""Reads an SQLite database in a separate process where changes to its files could kill the reader.

SQLite always maps the index of a write-ahead log (`-shm`) into memory: a program that truncates that file while it is
read, as `cp` does first to the file it overwrites, kills the process that reads (SIGBUS). In the separate process the
database itself is mapped too; a large one is read there for that alone, since with a rollback journal FlowFuse cannot
write meanwhile. Others are read in this process.
"""

import contextlib
import os
import pickle
import selectors
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from ff_observe.errors import SourceError
from ff_observe.platform.sources.model import Answer
from ff_observe.platform.sources.sql import Row, StatementError
from ff_observe.platform.sources.sqlite import DIALECT, READ_LIMIT_SECONDS, SQLiteSource
from ff_observe.system.presence import exists

ANSWER_SECONDS: Final = 2 * READ_LIMIT_SECONDS + 6.0
"""For a reading that is repeated because it took too long, including the start of the process."""

LARGE_BYTES: Final = 128 * 2**20
"""From this size on, what mapping saves of each reading, some 20 ms, is worth the memory of a process: some 12 MiB."""

_SIZE_BYTES: Final = 8
_ERRORS: Final = (SourceError, StatementError)


class GuardedSQLiteSource:
    """See `Source`. The process is started when it is first needed, and again if it was killed."""

    dialect = DIALECT

    def __init__(self, path: Path) -> None:
        self._path = path
        self._here = SQLiteSource(path)
        self._process: subprocess.Popen[bytes] | None = None
        self._asking = threading.Lock()
        self._closing = threading.Event()

    def read(self, at: datetime) -> Answer:
        answer = self._ask("read", at)
        assert isinstance(answer, Answer)
        return answer

    def select(self, sql: str) -> list[Row]:
        rows = self._ask("select", sql)
        assert isinstance(rows, list)
        return rows

    def _ask(self, method: str, argument: datetime | str) -> object:
        with self._asking:
            self._closing.clear()
            if not sys.executable or not self._is_for_a_process():
                return getattr(self._here, method)(argument)
            self._here.close()
            process = self._process
            if process is None or process.poll() is not None:
                self._end()
                process = self._process = _start(self._path)
            try:
                found = _ask(process, (method, argument))
            except (OSError, EOFError, ValueError) as error:  # the last: `close` has closed the process's files
                self._end()
                reason = "its reading was stopped" if self._closing.is_set() else str(error)
                raise SourceError(f"SQLite database {self._path} cannot be read: {reason}") from None
        if isinstance(found, _ERRORS):
            raise found
        return found

    def _is_for_a_process(self) -> bool:
        if exists(self._path.with_name(f"{self._path.name}-shm")):
            return True
        try:
            return self._path.stat().st_size >= LARGE_BYTES
        except OSError:
            return False  # reading it tells what is wrong

    def close(self) -> None:
        self._closing.set()
        self._end()
        self._here.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


def _start(path: Path) -> "subprocess.Popen[bytes]":
    # Without -P, modules in the current directory would come first: anyone's, in /tmp.
    command = [sys.executable, "-P", "-m", __name__, str(path)]
    return subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )


def _ask(process: "subprocess.Popen[bytes]", question: tuple[str, object]) -> object:
    """The answer, or one of `_ERRORS`. Raises `OSError` or `EOFError` where the process is gone or hangs."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(_framed(question))
    with selectors.DefaultSelector() as waiting:  # `select` itself knows no file beyond number 1023
        waiting.register(process.stdout, selectors.EVENT_READ)
        answers = waiting.select(ANSWER_SECONDS)
    if not answers:
        raise TimeoutError(f"no answer within {ANSWER_SECONDS:.0f} s")
    size = int.from_bytes(_exactly(process.stdout, _SIZE_BYTES), "big")
    return pickle.loads(_exactly(process.stdout, size))  # noqa: S301 - what `main` below has written


def _framed(content: object) -> bytes:
    pickled = pickle.dumps(content)
    return len(pickled).to_bytes(_SIZE_BYTES, "big") + pickled


def _exactly(stream: IO[bytes], size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = stream.read(size - len(content))
        if not part:
            raise EOFError("one of its files was cut off while it was read")
        content += part
    return content


def main(path: Path) -> None:
    """Answer each request on standard input, until its end: the bridge closes it, or is gone."""
    questions = sys.stdin.buffer
    with contextlib.closing(SQLiteSource(path, maps=True)) as source, os.fdopen(1, "wb") as answers:
        while size := questions.read(_SIZE_BYTES):
            method, argument = pickle.loads(_exactly(questions, int.from_bytes(size, "big")))  # noqa: S301 - what `_ask` has written
            found: object
            try:
                found = source.read(argument) if method == "read" else source.select(argument)
            except _ERRORS as error:
                found = type(error)(str(error))
            answers.write(_framed(found))
            answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
