"""A string that must not be shown: it prints masked, and only `reveal()` returns the value."""

from typing import Final

MASK: Final = "********"


class Secret:
    """Holds a password, a DSN, a licence or a token.

    `str()`, `repr()`, formatting and JSON encoding through `str` give a mask; pickling is refused; equality compares
    values so that settings can be compared after a reload.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Call it only to pass the value to the library that needs it."""
        return self._value

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")
