"""A configuration key as data, the settings field that it fills, and all keys of one file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from ff_observe.config.kind import Kind
from ff_observe.config.secret import Secret

T = TypeVar("T")

VARIABLES: Final = "FF_OBSERVE_"
"""The prefix of every variable that sets a key."""


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """One key.

    `default` is the value if the file has none; `otherwise` describes how that is found where it is no constant.
    `since` is the first version of ff-observe that has the key. `secret` values are never shown. A key with `file` has
    a sibling, its name followed by `_file`, that names a file holding the value (line breaks at its end are dropped).
    """

    path: str
    kind: Kind[T]
    help: str
    since: str = "0.1.0"
    default: T | None = None
    otherwise: str = ""
    secret: bool = False
    file: bool = False

    @property
    def file_path(self) -> str:
        return f"{self.path}_file"

    @property
    def variable(self) -> str:
        """The environment variable that sets the key; the same with `_FILE` names a file that holds the value."""
        return VARIABLES + self.path.upper().replace(".", "_")

    @property
    def fallback(self) -> Any:
        """The value in the settings if the file says nothing: the default, masked if it is secret."""
        return Secret(self.default) if self.secret and isinstance(self.default, str) else self.default

    @property
    def shown_default(self) -> str:
        """The default as the documents show it."""
        if self.otherwise or self.default is None or self.default == ():
            return self.otherwise or "none"
        return f"`{self.kind.show(self.default)}`"


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """A value in use: `shown` masked if it is secret, `origin` empty if it is the default. `lies_over` is whether it
    overrides the file that is read: by another file, a variable or an option."""

    key: str
    shown: str
    origin: str
    lies_over: bool


def filled_by(key: Key[Any], *, required: bool = False) -> Any:
    """A field of a settings dataclass with the value of `key`; without default if it is `required`."""
    return field(metadata={"key": key}) if required else field(default=key.fallback, metadata={"key": key})


def declared(names: Mapping[str, object]) -> tuple[Key[Any], ...]:
    """Every key among the names of a module, in order."""
    return tuple(value for value in names.values() if isinstance(value, Key))


@dataclass(frozen=True)
class FileKeys:
    """What one file may hold. Unknown keys are looked for only below `section`, or in the whole file.

    `ignored` keys are accepted with everything below them. `refused` maps keys that are not supported to what to do
    instead; `switched_off` maps sections whose value is `false` to how they are switched off.
    """

    keys: tuple[Key[Any], ...]
    section: str = ""
    ignored: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    switched_off: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def leaves(self) -> frozenset[str]:
        files = (key.file_path for key in self.keys if key.file)
        return frozenset((*(key.path for key in self.keys), *files, *self.ignored))

    @cached_property
    def sections(self) -> frozenset[str]:
        return frozenset(
            ".".join(parts[:length])
            for parts in (leaf.split(".") for leaf in self.leaves)
            for length in range(1, len(parts))
        )  # fmt: skip
