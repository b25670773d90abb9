"""Wraps each key together with its name, and while the wrapping is rotated unwraps what the previous one wrapped."""

from dataclasses import dataclass

from ff_observe.collector.settings import PREVIOUS_WRAPPING_COMMAND, PREVIOUS_WRAPPING_KEY_FILE, CollectorSettings
from ff_observe.collector.store import StoreError
from ff_observe.collector.wrapping import NotOpenedError, Wrapping, WrappingCommand, WrappingKeyFile
from ff_observe.errors import ConfigurationError, FFObserveError


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A key, and the wrapping that opened it."""

    key: bytes
    by: Wrapping


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

    def unwrap(self, name: str, wrapped: bytes) -> Unwrapped:
        """A present wrapping that cannot be used is an error, even if the previous one would open the key."""
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

    def _opened(self, by: Wrapping, name: str, wrapped: bytes) -> Unwrapped:
        content = by.unwrap(wrapped)
        if not content.startswith(_prefix(name)):
            message = "was wrapped for another purpose, or by another command; is it a copy of another row?"
            raise NotOpenedError(_of_row(by, name, message).problems)
        return Unwrapped(content.removeprefix(_prefix(name)), by)


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


def _prefix(name: str) -> bytes:
    return name.encode() + b"\n"


def _of_row(by: Wrapping, name: str, message: str) -> ConfigurationError:
    return by.wrong(f"the row {name!r} of the table collector_key {message}")


def _joined(present: ConfigurationError | StoreError, previous: ConfigurationError | StoreError) -> FFObserveError:
    """Both errors as one, which may pass if one of them may."""
    if isinstance(present, ConfigurationError) and isinstance(previous, ConfigurationError):
        return ConfigurationError((*present.problems, *previous.problems))
    return StoreError(f"{present}; {previous}")
