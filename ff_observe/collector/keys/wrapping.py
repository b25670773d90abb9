"""Wraps a collector's keys before the database keeps them: with a key in a file, or by a command such as a KMS's.

While the wrapping is rotated, what the previous one wrapped is unwrapped too.
"""

import contextlib
import errno
import os
import secrets
import selectors
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path

from ff_observe.collector.settings import (
    PREVIOUS_WRAPPING_COMMAND,
    PREVIOUS_WRAPPING_KEY_FILE,
    WRAPPING_COMMAND,
    WRAPPING_KEY_FILE,
    CollectorSettings,
)
from ff_observe.collector.store import StoreError
from ff_observe.config.key import VARIABLES
from ff_observe.config.reading import UnreadableFileError, read_text
from ff_observe.errors import ConfigurationError, FFObserveError, Problem

_FORMAT = b"\x01"  # of what `WrappingKeyFile` makes: this, a nonce, AES-256-GCM
_NONCE_BYTES = 12
_KEY_BYTES = 32
LARGEST = 16_384
CREDENTIALS = Path("/run/credentials")
"""Where systemd puts credentials (systemd.exec(5)), each in a directory that the service alone can enter."""
COMMAND_SECONDS = 10.0
REAPING_SECONDS = 1.0
"""A program that was killed ends at once, unless it is another user's, or waits for a disk."""
_TO_BE_CHANGED = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EACCES, errno.EPERM, errno.ENOEXEC),
)
"""The system's errors of a path or of its rights. Any other may pass: too many open files, no memory, a disk."""


class Wrapping(ABC):
    """Wraps and unwraps. Both raise `ConfigurationError`, or `StoreError` for what may pass; no message holds a key."""

    def __init__(self, named_in: str, setting: str) -> None:
        self.setting = setting
        self._named_in = named_in

    @abstractmethod
    def wrap(self, content: bytes) -> bytes: ...
    @abstractmethod
    def unwrap(self, wrapped: bytes) -> bytes:
        """Raises `NotOpenedError` for what was wrapped otherwise, if the wrapping can tell."""

    def wrong(self, message: str) -> ConfigurationError:
        """An error that names the setting."""
        return ConfigurationError((Problem(self._named_in, 0, 0, self.setting, message),))

    def _unusable(self, what: str, error: OSError) -> FFObserveError:
        wrong = self.wrong(f"{what}: {error.strerror}")
        return wrong if error.errno in _TO_BE_CHANGED else StoreError(str(wrong))


class NotOpenedError(ConfigurationError):
    """The wrapping can be used, and does not open what it was given."""


class WrappingKeyFile(Wrapping):
    """AES-256-GCM (NIST SP 800-38D) with a random nonce, under the key in a file of mode 0600."""

    def __init__(self, file: Path, named_in: str, setting: str = WRAPPING_KEY_FILE.path) -> None:
        super().__init__(named_in, setting)
        self._file = file

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

    def _key(self) -> bytes:
        try:
            # systemd hands a credential over by an ACL, whose mask stands where the group's rights would.
            is_credential = self._file.resolve().is_relative_to(CREDENTIALS)
            if self._file.stat().st_mode & (0o007 if is_credential else 0o077):
                raise self.wrong(f"{self._file} may be used by others; run: chmod 600 {self._file}")
            key = bytes.fromhex(read_text(self._file, LARGEST).strip())
        except OSError as error:
            raise self._unusable(f"{self._file} cannot be used", error) from None
        except UnreadableFileError as error:
            if isinstance(error.__cause__, OSError):
                raise self._unusable(f"{self._file} cannot be read", error.__cause__) from None
            raise self.wrong(f"{self._file} cannot be used: {error}") from None
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise self.wrong(f"{self._file} holds no wrapping key: 64 hexadecimal digits, as of `openssl rand -hex 32`")
        return key


class WrappingCommand(Wrapping):
    """A program that is run without a shell with `wrap` or `unwrap` as its last argument, reads from its standard input
    and writes to its standard output. What it writes to standard error is discarded, since it could hold the key."""

    def __init__(
        self,
        command: tuple[str, ...],
        named_in: str,
        patience_seconds: float = COMMAND_SECONDS,
        setting: str = WRAPPING_COMMAND.path,
    ) -> None:
        super().__init__(named_in, setting)
        self._command = command
        self._patience_seconds = patience_seconds

    def wrap(self, content: bytes) -> bytes:
        return self._run("wrap", content)

    def unwrap(self, wrapped: bytes) -> bytes:
        return self._run("unwrap", wrapped)

    def _run(self, verb: str, content: bytes) -> bytes:
        deadline = time.monotonic() + self._patience_seconds
        process = self._start(verb)
        ended, killed = threading.Event(), threading.Event()
        reaper = threading.Thread(target=_reap, args=(process, ended, killed), name="collector-wrapping", daemon=True)
        reaper.start()
        try:
            output = _exchange(process, content, deadline)
            is_late = len(output) <= LARGEST and not ended.wait(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            output, is_late = b"", True
        finally:
            _kill_group(process.pid)
            killed.set()
            if ended.wait(REAPING_SECONDS):
                reaper.join()
        self._check(verb, process.returncode, output, is_late=is_late)
        return output

    def _start(self, verb: str) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
                [*self._command, verb],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)},
                start_new_session=True,
            )
        except OSError as error:
            raise self._unusable(f"{self._command[0]} cannot be run", error) from None

    def _check(self, verb: str, status: int | None, output: bytes, *, is_late: bool) -> None:
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


class KeyWrapping:
    """Wraps by the `present` wrapping; unwraps by that one or by the `previous` one. Raises what `Wrapping` does.

    What is wrapped begins with the key's name, so that one key cannot be put in the place of another.
    """

    def __init__(self, present: Wrapping, previous: Wrapping | None = None) -> None:
        self.present = present
        self.previous = previous

    def wrap(self, name: str, key: bytes) -> bytes:
        """Raises `StoreError` if the wrapping does not unwrap what it has wrapped."""
        content = _prefix(name) + key
        wrapped = self.present.wrap(content)
        if self.present.unwrap(wrapped) != content:
            raise StoreError(
                f"{self.present.setting}: the command does not unwrap what it has wrapped: the key {name} is not kept"
            )
        return wrapped

    def unwrap(self, name: str, wrapped: bytes) -> tuple[bytes, Wrapping]:
        """The key, and the wrapping that opened it. A present wrapping that cannot be used is an error, even if the
        previous one would open the key."""
        try:
            return self._opened(self.present, name, wrapped)
        except (NotOpenedError, StoreError) as error:
            if self.previous is None:
                raise
            of_present = error
        try:
            return self._opened(self.previous, name, wrapped)
        except (ConfigurationError, StoreError) as error:
            raise _joined(of_present, error) from None

    def wrong(self, name: str, message: str) -> ConfigurationError:
        """An error that names the row of a key."""
        return _of_row(self.present, name, message)

    def _opened(self, by: Wrapping, name: str, wrapped: bytes) -> tuple[bytes, Wrapping]:
        content = by.unwrap(wrapped)
        if not content.startswith(_prefix(name)):
            message = "was wrapped for another purpose, or by another command; is it a copy of another row?"
            raise NotOpenedError(_of_row(by, name, message).problems)
        return content.removeprefix(_prefix(name)), by


def key_wrapping(settings: CollectorSettings) -> KeyWrapping:
    """The wrappings that the settings name."""
    named_in, file = settings.named_in, settings.previous_wrapping_key_file
    present: Wrapping = WrappingCommand(settings.wrapping_command, named_in)
    previous: Wrapping | None = None
    if settings.wrapping_key_file is not None:
        present = WrappingKeyFile(settings.wrapping_key_file, named_in)
    if file is not None:
        previous = WrappingKeyFile(file, named_in, setting=PREVIOUS_WRAPPING_KEY_FILE.path)
    elif settings.previous_wrapping_command:
        command = settings.previous_wrapping_command
        previous = WrappingCommand(command, named_in, setting=PREVIOUS_WRAPPING_COMMAND.path)
    return KeyWrapping(present, previous)


def _exchange(process: "subprocess.Popen[bytes]", content: bytes, deadline: float) -> bytes:
    """Give the program `content`. Returns what it writes until its output is closed, which what it has started can hold
    open, or more than `LARGEST` bytes of it. Raises `TimeoutError` if it comes to neither by the deadline."""
    assert process.stdin is not None
    assert process.stdout is not None
    os.set_blocking(process.stdin.fileno(), False)
    output = b""
    with process.stdin, process.stdout, selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        selector.register(process.stdout, selectors.EVENT_READ)
        while (seconds := deadline - time.monotonic()) > 0:
            for ready, _ in selector.select(seconds):
                if ready.fileobj is process.stdout:
                    part = os.read(ready.fd, LARGEST + 1)
                    output += part
                    if not part or len(output) > LARGEST:
                        return output
                else:
                    try:
                        content = content[os.write(ready.fd, content) :]
                    except BrokenPipeError:  # it ended, or wants nothing
                        content = b""
                    if not content:
                        selector.unregister(process.stdin)
                        process.stdin.close()
    raise TimeoutError


def _reap(process: "subprocess.Popen[bytes]", ended: threading.Event, killed: threading.Event) -> None:
    """Set `ended` when the program has ended, and reap it once its group was killed: until then no other process, and
    no other group, can get its number."""
    with contextlib.suppress(ChildProcessError):  # this process ignores SIGCHLD
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    ended.set()
    killed.wait()
    process.wait()


def _kill_group(number: int) -> None:
    """End the program and what it has started, though it may have ended itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended, or are another user's, as by sudo
        os.killpg(number, signal.SIGKILL)


def _prefix(name: str) -> bytes:
    return name.encode() + b"\n"


def _of_row(by: Wrapping, name: str, message: str) -> ConfigurationError:
    return by.wrong(f"the row {name!r} of the table collector_key {message}")


def _joined(present: ConfigurationError | StoreError, previous: ConfigurationError | StoreError) -> FFObserveError:
    """Both errors as one, which may pass if one of them may."""
    if isinstance(present, ConfigurationError) and isinstance(previous, ConfigurationError):
        return ConfigurationError((*present.problems, *previous.problems))
    return StoreError(f"{present}; {previous}")
