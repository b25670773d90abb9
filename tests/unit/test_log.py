"""What the bridge writes to standard error: one record a line, for people or machines, without credentials."""

import ast
import io
import json
import logging
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ff_observe.config.secret import MASK
from ff_observe.telemetry.log import JSONFormatter, LogFormat, TextFormatter, configure_logging, escaped
from ff_observe.telemetry.redaction import Redactor
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


MARKS = ("LEFT-TO-RIGHT MARK", "RIGHT-TO-LEFT MARK", "ARABIC LETTER MARK")
# What Unicode calls a control, half a character, a line break, or a control of direction (Bidi_Control).
HARMFUL = tuple(
    character
    for character in map(chr, range(0x10000))
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    or unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    or unicodedata.name(character, "") in MARKS
)
_texts = st.lists(st.text(max_size=5) | st.sampled_from([*HARMFUL, "\n", "\x1b", "\x9b", "\u202e"])).map("".join)


@pytest.mark.parametrize("character", [each for each in HARMFUL if each not in map(chr, range(0xD801, 0xDFFF))])
def test_no_harmful_character_reaches_a_terminal(character: str) -> None:
    assert character not in escaped(f"a{character}b")
    assert ast.literal_eval(f"'{escaped(character)}'") == character
    line = JSONFormatter(Redactor()).format(record("a%sb", character))
    assert character not in line
    assert json.loads(line)["message"] == f"a{character}b"


def test_other_characters_are_shown_as_they_are() -> None:
    text = "ä 😀\xa0\\n 家\u200d"
    assert escaped(text) == text
    assert f'"{text[:3]}"' in JSONFormatter(Redactor()).format(record("%s", text[:3]))


@given(_texts)
def test_a_message_is_one_line_whatever_is_in_it(message: str) -> None:
    assert len(TextFormatter(Redactor()).format(record("%s", message)).splitlines()) == 1
    line = JSONFormatter(Redactor(personal=False)).format(record("%s", message))
    assert not set(line) & set(HARMFUL)
    assert json.loads(line)["level"] == "WARNING"


@given(_texts, _texts)
def test_no_line_of_a_traceback_passes_for_another_line_of_the_log(said: str, noted: str) -> None:
    error = ValueError(f"first\n{said}\n2026-11-30T00:00:00.000Z INFO ff_observe: forged")
    error.add_note(f"{noted}\n2026-11-30T00:00:00.000Z INFO ff_observe: forged")
    failed = record("it failed")
    failed.exc_info = (ValueError, error, None)
    failed.stack_info = f"Stack:\n{said}"
    head, *lines = TextFormatter(Redactor()).format(failed).split("\n")
    assert head.endswith("ff_observe.test: it failed")
    assert "  ValueError: first" in lines
    assert [line for line in lines if not line.startswith("  ")] == []
    assert not set("".join(lines)) & set(HARMFUL)


@given(
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\t\\'\x9b"), min_size=8).map(
        lambda text: f"Xk9{text}q7Z"
    )
)
@example("line1Zq9\nline2\\x")
def test_a_secret_is_masked_before_it_is_escaped(secret: str) -> None:
    failed = record("failed with <%s>", secret)
    failed.exc_info = (ValueError, ValueError(f"<{secret}>"), None)
    text = TextFormatter(Redactor([secret], personal=False)).format(failed)
    assert text.split("\n") == [
        f"2026-03-29T01:59:59.123Z WARNING ff_observe.test: failed with <{MASK}>",
        f"  ValueError: <{MASK}>",
    ]


def test_a_credential_is_recognised_at_the_end_of_its_line_which_is_then_escaped() -> None:
    line = TextFormatter(Redactor()).format(record("db:\n  password: hunter2\n  host: db"))
    assert line.endswith(rf"ff_observe.test: db:\n  password: {MASK}\n  host: db")


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
    code = (
        "import logging; from ff_observe.telemetry.log import configure_logging;"
        " configure_logging('json'); logging.error('x')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=guarded_environment())
    assert done.stdout == ""
    assert json.loads(done.stderr)["message"] == "x"
