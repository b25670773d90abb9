"""Wraps a collector's keys before the database keeps them: with a key in a file, or by a command such as a KMS's."""

import contextlib
import os
import secrets
import signal
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import Protocol

from ff_observe.collector.settings import WRAPPING_COMMAND, WRAPPING_KEY_FILE
from ff_observe.collector.store import StoreError
from ff_observe.config.key import VARIABLES
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.errors import ConfigurationError, Problem

_FORMAT = b"\x01"  # of what `WrappingKeyFile` makes: this, a nonce, AES-256-GCM
_NONCE_BYTES = 12
_KEY_BYTES = 32
LARGEST = 16_384
COMMAND_SECONDS = 10.0


class Wrapping(Protocol):
    """Wraps and unwraps. Both raise `ConfigurationError`, or `StoreError` for what may pass; no message holds a key."""

    setting: str

    def wrap(self, content: bytes) -> bytes: ...
    def unwrap(self, wrapped: bytes) -> bytes:
        """Raises `NotOpenedError` for what was wrapped otherwise, if the wrapping can tell."""

    def wrong(self, message: str) -> ConfigurationError:
        """An error that names the setting."""


class NotOpenedError(ConfigurationError):
    """The wrapping can be used, and does not open what it was given."""


class WrappingKeyFile:
    """AES-256-GCM (NIST SP 800-38D) with a random nonce, under the key in a file of mode 0600."""

    def __init__(self, file: Path, named_in: str, setting: str = WRAPPING_KEY_FILE.path) -> None:
        self.setting = setting
        self._file = file
        self._named_in = named_in

    def wrap(self, content: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + AESGCM(self._key()).encrypt(nonce, content, None)

    def unwrap(self, wrapped: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        version, nonce, sealed = wrapped[:1], wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
        try:
            if version == _FORMAT and len(nonce) == _NONCE_BYTES:
                return AESGCM(self._key()).decrypt(nonce, sealed, None)
        except InvalidTag:
            pass
        message = (
            f"{self._file} does not open what the database keeps: put the file there that wrapped it, which the other "
            "collectors have"
        )
        raise NotOpenedError(self.wrong(message).problems)

    def wrong(self, message: str) -> ConfigurationError:
        return ConfigurationError((Problem(self._named_in, 0, 0, self.setting, message),))

    def _key(self) -> bytes:
        try:
            if self._file.stat().st_mode & 0o077:
                raise self.wrong(f"{self._file} may be used by others; run: chmod 600 {self._file}")
            key = bytes.fromhex(read_text(self._file, LARGEST).strip())
        except (OSError, UnreadableFileError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise self.wrong(f"{self._file} cannot be used: {reason}") from None
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise self.wrong(f"{self._file} holds no wrapping key: 64 hexadecimal digits, as of `openssl rand -hex 32`")
        return key


class WrappingCommand:
    """A program that is run without a shell with `wrap` or `unwrap` as its last argument, reads from its standard input
    and writes to its standard output. What it writes to standard error is discarded, since it could hold the key."""

    def __init__(
        self,
        command: tuple[str, ...],
        named_in: str,
        patience_seconds: float = COMMAND_SECONDS,
        setting: str = WRAPPING_COMMAND.path,
    ) -> None:
        self.setting = setting
        self._command = command
        self._named_in = named_in
        self._patience_seconds = patience_seconds

    def wrap(self, content: bytes) -> bytes:
        return self._run("wrap", content)

    def unwrap(self, wrapped: bytes) -> bytes:
        return self._run("unwrap", wrapped)

    def wrong(self, message: str) -> ConfigurationError:
        return ConfigurationError((Problem(self._named_in, 0, 0, self.setting, message),))

    def _run(self, verb: str, content: bytes) -> bytes:
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
                [*self._command, verb],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)},
                start_new_session=True,
            )
        except OSError as error:
            raise self.wrong(f"{self._command[0]} cannot be run: {error.strerror}") from None
        late = threading.Event()
        timer = threading.Timer(self._patience_seconds, partial(_give_up, process, late))
        timer.start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended, or wants nothing
                process.stdin.write(content)
                process.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            output = process.stdout.read(LARGEST + 1)
            if len(output) > LARGEST:
                _kill(process)
            status = process.wait()
        finally:
            timer.cancel()
            _kill(process)
            process.stdout.close()
            process.wait()
        self._check(verb, status, output, is_late=late.is_set())
        return output

    def _check(self, verb: str, status: int, output: bytes, *, is_late: bool) -> None:
        if is_late:
            problem = f"did not end within {self._patience_seconds:g} seconds"
        elif len(output) > LARGEST:
            problem = f"wrote more than {LARGEST} bytes"
        elif status != 0:
            problem = f"ended with status {status}"
        elif not output:
            problem = "wrote nothing"
        else:
            return
        raise StoreError(
            f"{self.setting}: `{self._command[0]} … {verb}` {problem}; try it by hand: its messages are not "
            "shown, since they could hold the key"
        )


def _give_up(process: "subprocess.Popen[bytes]", late: threading.Event) -> None:
    if process.poll() is None:
        late.set()
    _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the program and what it has started, unless it has ended by itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
