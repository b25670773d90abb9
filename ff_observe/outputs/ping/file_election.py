"""The election of bridges that share a disk: the holder of a file's lock leads, and all read the same memory."""

import fcntl
import os

from ff_observe.outputs.ping.election import Election, ElectionState, Role
from ff_observe.outputs.ping.memory import PingMemory, UnknownPastError


class FileElection(Election):
    """If no file can be locked, the bridge is alone."""

    shares_memory = True

    def __init__(self, memory: PingMemory) -> None:
        self._memory = memory
        self._descriptor: int | None = None

    def look(self, *, owed: bool) -> ElectionState:
        try:
            role = Role.LEADER if self._lead() else Role.FOLLOWER
        except OSError as error:
            return ElectionState(Role.ALONE, may_send=True, note=self._no_lock(error))
        try:
            last = self._memory.load()
        except UnknownPastError:
            last = None
        return ElectionState(role, may_send=role is Role.LEADER, last=last)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _lead(self) -> bool:
        if self._descriptor is None:
            self._descriptor = self._memory.open_lock()
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _no_lock(self, error: OSError) -> str:
        return (
            f"{self._memory.lock} cannot be locked: {error.strerror or error}. This bridge sends the ping; another "
            "bridge of this platform on this machine would send one more (telemetry.ping.sender: never stops that)"
        )
