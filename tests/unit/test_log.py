"""What the bridge writes to standard error: one record a line, for people or machines, without credentials."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.log import JSONFormatter, LogFormat, TextFormatter, configure_logging
from ff_observe.redaction import Redactor
from tests.network_guard import guarded_environment

MOMENT = datetime(2026, 3, 29, 1, 59, 59, 123_000, UTC)
log = logging.getLogger("ff_observe.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; the root logger is as before afterwards."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield io.StringIO()
    root.setLevel(level)
    root.handlers[:] = handlers


def record(message: str, *arguments: object) -> logging.LogRecord:
    made = logging.LogRecord("ff_observe.test", logging.WARNING, __file__, 1, message, arguments, None)
    made.created = MOMENT.timestamp()
    made.threadName = "core ping"
    return made


def test_a_line_of_text_has_time_level_logger_and_message() -> None:
    line = TextFormatter(Redactor()).format(record("%d rows", 5))
    assert line == "2026-03-29T01:59:59.123Z WARNING ff_observe.test: 5 rows"


def test_a_json_object_has_time_level_logger_message_and_thread() -> None:
    line = JSONFormatter(Redactor()).format(record("%d rows", 5))
    assert json.loads(line) == {
        "time": "2026-03-29T01:59:59.123Z",
        "level": "WARNING",
        "logger": "ff_observe.test",
        "message": "5 rows",
        "thread": "core ping",
    }


@given(st.text())
def test_a_message_is_one_line_whatever_is_in_it(message: str) -> None:
    assert len(TextFormatter(Redactor()).format(record("%s", message)).splitlines()) == 1
    line = JSONFormatter(Redactor(personal=False)).format(record("%s", message))
    assert "\n" not in line
    assert json.loads(line)["level"] == "WARNING"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_exception_is_written_with_its_traceback_and_without_credentials(
    stream: io.StringIO, log_format: LogFormat
) -> None:
    configure_logging(log_format, stream=stream)
    try:
        int("postgresql://flowforge:hunter2@127.0.0.1/x")
    except ValueError:
        log.exception("could not read %s", "password=hunter2")
    written = stream.getvalue()
    assert "hunter2" not in written
    assert "Traceback" in written
    assert "127.0.0.1" in written
    assert len(written.splitlines()) == 1 or log_format == "text"


def test_configured_again_with_the_secrets_of_the_settings_it_masks_them_too(stream: io.StringIO) -> None:
    configure_logging(stream=stream)
    log.info("the word is swordfish")
    configure_logging(redactor=Redactor(["swordfish"], personal=False), stream=stream)
    log.info("the word is swordfish")
    assert [line.rpartition(" ")[2] for line in stream.getvalue().splitlines()] == ["swordfish", "********"]


def test_handlers_of_others_stay(stream: io.StringIO) -> None:
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    configure_logging(stream=stream)
    configure_logging(stream=stream)
    assert other in logging.getLogger().handlers


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    configure_logging(level=logging.WARNING, stream=stream)
    log.info("quiet")
    log.warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_it_goes_to_standard_error_and_leaves_standard_output_to_the_answers() -> None:
    code = "import logging; from ff_observe.log import configure_logging; configure_logging('json'); logging.error('x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=guarded_environment())
    assert done.stdout == ""
    assert json.loads(done.stderr)["message"] == "x"
