"""Wraps every key that a database keeps anew, by the present wrapping instead of the previous one."""

from collections.abc import Iterator
from dataclasses import dataclass

from ff_observe.collector.key_wrapping import KeyWrapping
from ff_observe.collector.shared_keys import WrappedKeys
from ff_observe.collector.store import StoreError
from ff_observe.errors import ConfigurationError, Problem


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """A key, and the setting by which it is wrapped now; `was_before` if it was so already."""

    name: str
    setting: str
    was_before: bool


@dataclass(frozen=True, slots=True)
class _Step:
    """A wrapped key, and what takes its place; None if the present wrapping opens it."""

    wrapped: bytes
    fresh: bytes | None


def rewrap(store: WrappedKeys, wrapping: KeyWrapping) -> Iterator[Rewrapped]:
    """All keys are unwrapped and wrapped anew before the first is replaced, so that a wrong wrapping changes nothing.

    Each is replaced only if it still is what was unwrapped; one that a collector has replaced meanwhile is done again.
    If the process ends in between, repeat it: what is done stays. Raises `ConfigurationError`, or `StoreError` for what
    may pass.
    """
    for name, first in _prepared(store, wrapping).items():
        step: _Step | None = first
        while step is not None:
            if step.fresh is None or store.replace_wrapped_key(name, step.wrapped, step.fresh):
                yield Rewrapped(name, wrapping.present.setting, was_before=step.fresh is None)
                break
            step = _step(store, wrapping, name)


def _prepared(store: WrappedKeys, wrapping: KeyWrapping) -> dict[str, _Step]:
    try:
        steps = {name: _step(store, wrapping, name) for name in store.wrapped_key_names()}
    except ConfigurationError as error:
        unchanged = Problem(error.problems[0].file, 0, 0, "", "no key is changed")
        raise ConfigurationError((*error.problems, unchanged)) from None
    except StoreError as error:
        raise StoreError(f"{error}; no key is changed") from None
    return {name: step for name, step in steps.items() if step is not None}


def _step(store: WrappedKeys, wrapping: KeyWrapping, name: str) -> _Step | None:
    """None if the key has been deleted."""
    wrapped = store.wrapped_key(name)
    if wrapped is None:
        return None
    unwrapped = wrapping.unwrap(name, wrapped)
    is_done = unwrapped.by is wrapping.present
    return _Step(wrapped, None if is_done else wrapping.wrap(name, unwrapped.key))
