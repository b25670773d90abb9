"""Directories and files that only root and the caller can change: no other user can redirect a path through them.

A user who can write to one directory on the path can put a symbolic link in place of what was checked. So the path is
walked from `/`, each directory opened relative to the one before and checked, links included.
"""

import contextlib
import errno
import grp
import os
import pwd
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SEARCH: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS: Final = 40  # as Linux (path_resolution(7))
# Linux' posix_acl_xattr.h: a version, and then the tag, the permissions and the id of each entry.
_LIST_VERSION: Final = struct.pack("<I", 2)
_ENTRY: Final = struct.Struct("<HHI")
_USER, _OWNING_GROUP, _GROUP = 0x02, 0x04, 0x08


class UntrustedPathError(OSError):
    """Another user controls `filename`; `strerror` says how."""


@contextlib.contextmanager
def trusted_directory(path: Path, *, make: bool = False) -> Iterator[int]:
    """A descriptor of a directory in which only root and the caller can create, rename or remove files.

    With `make`, missing directories are created for the caller alone. Raises `OSError`, `UntrustedPathError` included.
    """
    descriptor, place, name = _walk(path, make=make)
    try:
        if name is not None:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        _check(os.fstat(descriptor), place)
        yield descriptor
    finally:
        os.close(descriptor)


def check_trusted_file(path: Path) -> None:
    """Raises `OSError` unless this is a regular file that only root and the caller can change or replace."""
    descriptor, place, name = _walk(path)
    try:
        if name is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    _check(status, os.path.join(place, name))  # noqa: PTH118 - texts for a message


def check_naming_file(path: Path | None) -> None:
    """Root uses none of its rights for what a file says that another user can change: it writes to no path and reads no
    file that is named there, and puts no variable of its environment into it. Raises `OSError` if `path` is such a
    file; None names none."""
    if path is not None and os.geteuid() == 0:
        check_trusted_file(path)


def _walk(path: Path, *, make: bool = False) -> tuple[int, str, str | None]:
    """The descriptor and the name of the last directory on the path, and the name of the file in it, if it is one."""
    directory, place = os.open("/", _SEARCH), "/"
    waiting = list(reversed(path.absolute().parts[1:]))
    links = 0
    try:
        while waiting:
            _check(os.fstat(directory), place, passing=True)
            name = waiting.pop()
            full = os.path.normpath(os.path.join(place, name))  # noqa: PTH118 - texts for a message
            with _naming(full):
                status = _status(directory, name, make=make)
                if stat.S_ISLNK(status.st_mode):
                    links += 1
                    _check_link(status, full, links)
                    target = Path(os.readlink(name, dir_fd=directory))
                    if target.is_absolute():
                        os.close(directory)
                        directory, place = os.open("/", _SEARCH), "/"
                    waiting.extend(reversed(target.parts[1:] if target.is_absolute() else target.parts))
                elif not waiting and not stat.S_ISDIR(status.st_mode):
                    return directory, place, name
                else:
                    following = os.open(name, _SEARCH, dir_fd=directory)
                    os.close(directory)
                    directory, place = following, full
    except BaseException:
        os.close(directory)
        raise
    return directory, place, None


def _status(directory: int, name: str, *, make: bool) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):  # another process was faster
        os.mkdir(name, 0o700, dir_fd=directory)
    return os.stat(name, dir_fd=directory, follow_symlinks=False)


@contextlib.contextmanager
def _naming(full: str) -> Iterator[None]:
    """Errors of calls relative to a directory name only a part of the path."""
    try:
        yield
    except OSError as error:
        if not isinstance(error, UntrustedPathError):
            error.filename = full
        raise


def _check(status: os.stat_result, place: str, *, passing: bool = False) -> None:
    """In a sticky directory that is only passed through, other users' files cannot be renamed or removed."""
    _check_owner(status, place)
    if passing and status.st_mode & stat.S_ISVTX:
        return
    if status.st_mode & stat.S_IWOTH:
        raise UntrustedPathError(errno.EPERM, "every user can write to it", place)
    if status.st_mode & stat.S_IWGRP:
        _check_group(status, place)


def _check_group(status: os.stat_result, place: str) -> None:
    """With an access control list the bits of the group are its mask: what it grants at most (acl(5)). No other user
    can have put something else at `place`: the directories above it were checked."""
    writable_by_list = UntrustedPathError(errno.EPERM, "its access control list may let others write to it", place)
    try:
        content = os.getxattr(place, "system.posix_acl_access", follow_symlinks=False)
    except (OSError, AttributeError):  # there is none, or no such thing on this system
        content = _LIST_VERSION + _ENTRY.pack(_OWNING_GROUP, os.W_OK, 0)
    if not content.startswith(_LIST_VERSION) or (len(content) - len(_LIST_VERSION)) % _ENTRY.size:
        raise writable_by_list
    for tag, permissions, identity in _ENTRY.iter_unpack(content[len(_LIST_VERSION) :]):
        if not permissions & os.W_OK:
            continue
        if tag == _OWNING_GROUP and not _is_private(status.st_gid):
            raise UntrustedPathError(errno.EPERM, "other members of its group can write to it", place)
        if tag == _USER and identity not in (0, os.geteuid()):
            raise writable_by_list
        if tag == _GROUP and not _is_private(identity):
            raise writable_by_list


def _check_link(status: os.stat_result, place: str, links: int) -> None:
    if links > _MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    _check_owner(status, place)


def _check_owner(status: os.stat_result, place: str) -> None:
    if status.st_uid not in (0, os.geteuid()):
        allowed = " or ".join(dict.fromkeys((_account(os.geteuid()), _account(0))))
        raise UntrustedPathError(errno.EPERM, f"it belongs to {_account(status.st_uid)}, not to {allowed}", place)


def _is_private(group: int) -> bool:
    """A group of ours without any other account: a user's private group, or the `fsGroup` of a pod."""
    if group not in (os.getegid(), *os.getgroups()):
        return False
    members = {account.pw_name for account in pwd.getpwall() if account.pw_gid == group}
    with contextlib.suppress(KeyError):
        members.update(grp.getgrgid(group).gr_mem)
    return members <= {"root", _account(os.geteuid())}


def _account(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"
