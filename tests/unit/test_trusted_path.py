"""A path is trusted only where no user but root and the caller can change any part of it, links included."""

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.system.trusted_path import UntrustedPathError, check_trusted_file, trusted_directory


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """HOME/var/ledger, all of it the caller's."""
    (tmp_path / "var" / "ledger").mkdir(parents=True)
    for directory in (tmp_path, tmp_path / "var", tmp_path / "var" / "ledger"):
        directory.chmod(0o755)
    return tmp_path


@pytest.fixture
def root_for_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of another user, as root meets it. Who is not root stands in for it: the home is his own then."""
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, 1000, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return home


def opens(path: Path, *, make: bool = False) -> bool:
    with trusted_directory(path, make=make) as descriptor:
        return os.path.samestat(os.fstat(descriptor), path.stat())


def test_a_directory_of_the_caller_is_opened(home: Path) -> None:
    assert opens(home / "var" / "ledger")
    assert opens(home / "var" / ".." / "var" / "." / "ledger")


def test_what_is_missing_is_made_for_the_caller_alone(home: Path) -> None:
    before = os.umask(0)
    try:
        assert opens(home / "a" / "b", make=True)
    finally:
        os.umask(before)
    assert [(home / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o700, 0o700]
    with pytest.raises(FileNotFoundError, match=r"/c'"):
        opens(home / "c" / "d")


@pytest.mark.parametrize("place", ["", "var", "var/ledger"])
def test_a_directory_on_the_way_that_everybody_can_write_to_is_refused(home: Path, place: str) -> None:
    (home / place).chmod(0o777)
    with pytest.raises(UntrustedPathError, match="every user can write to it") as caught:
        opens(home / "var" / "ledger")
    assert caught.value.filename == str(home / place)


def test_a_sticky_directory_may_be_passed_but_not_be_the_last(home: Path) -> None:
    (home / "var").chmod(0o1777)
    assert opens(home / "var" / "ledger")
    with pytest.raises(UntrustedPathError, match="every user can write to it"):
        opens(home / "var")


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The members of the caller's group."""
    members: list[str] = []

    class Group:
        gr_mem = members

    monkeypatch.setattr("grp.getgrgid", lambda _: Group)
    monkeypatch.setattr("pwd.getpwall", list)
    return iter([members])


def test_a_group_that_can_write_is_harmless_only_where_nobody_else_is_in_it(
    home: Path, accounts: Iterator[list[str]]
) -> None:
    members = next(accounts)
    os.chown(home / "var", -1, os.getegid())
    (home / "var").chmod(0o775)
    assert opens(home / "var")
    members.append("mallory")
    with pytest.raises(UntrustedPathError, match="other members of its group"):
        opens(home / "var")


def test_a_directory_of_another_user_is_refused_by_root(root_for_another: Path) -> None:
    with pytest.raises(UntrustedPathError, match=r"it belongs to .*, not to root"):
        opens(root_for_another / "var" / "ledger")


def test_root_makes_nothing_in_a_directory_of_another_user(root_for_another: Path) -> None:
    with pytest.raises(UntrustedPathError):
        opens(root_for_another / "var" / "more", make=True)
    assert not (root_for_another / "var" / "more").exists()


def test_a_link_in_a_trusted_directory_is_followed_to_a_trusted_one(home: Path) -> None:
    (home / "link").symlink_to("var")
    (home / "absolute").symlink_to(home / "link")
    assert opens(home / "absolute" / "ledger")


def test_a_link_does_not_hide_a_directory_that_others_can_write_to(home: Path) -> None:
    (home / "open").mkdir()
    (home / "open").chmod(0o777)
    (home / "open" / "link").symlink_to(home / "var")
    with pytest.raises(UntrustedPathError) as caught:
        opens(home / "open" / "link" / "ledger")
    assert caught.value.filename == str(home / "open")


def test_a_link_that_another_user_put_into_a_sticky_directory_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classic of /tmp: the link is another user's, and it leads to a directory of root's."""
    (home / "var").chmod(0o1777)
    (home / "var" / "link").symlink_to("/etc")
    if os.geteuid() == 0:
        os.chown(home / "var" / "link", 1000, -1, follow_symlinks=False)
    else:
        pytest.skip("needs root, to give a link away")
    with pytest.raises(UntrustedPathError, match="belongs to"):
        opens(home / "var" / "link")


def test_links_that_lead_round_are_an_error(home: Path) -> None:
    (home / "a").symlink_to("b")
    (home / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        opens(home / "a" / "x")


def test_a_file_is_no_directory_and_a_directory_no_file(home: Path) -> None:
    (home / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        opens(home / "file")
    with pytest.raises(NotADirectoryError):
        opens(home / "file" / "below")
    with pytest.raises(IsADirectoryError):
        check_trusted_file(home / "var")
    os.mkfifo(home / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        check_trusted_file(home / "fifo")


def test_no_descriptor_is_left_open(home: Path) -> None:
    (home / "link").symlink_to(home / "var")
    before = len(list(Path("/proc/self/fd").iterdir()))
    opens(home / "link" / "ledger")
    (home / "var").chmod(0o777)
    with pytest.raises(UntrustedPathError):
        opens(home / "link" / "ledger")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_is_trusted_with_its_directories_and_what_a_link_leads_to(home: Path) -> None:
    shutil.copy("/bin/sh", home / "var" / "program")
    (home / "program").symlink_to("var/program")
    check_trusted_file(home / "program")
    (home / "var" / "program").chmod(0o777)
    with pytest.raises(UntrustedPathError, match="every user can write to it"):
        check_trusted_file(home / "program")
    (home / "var" / "program").chmod(0o755)
    (home / "var").chmod(0o777)
    with pytest.raises(UntrustedPathError):
        check_trusted_file(home / "program")


_NONE = 0xFFFFFFFF
_STRANGER = 1001


@pytest.mark.parametrize(
    ("entries", "refused"),
    [
        ([(2, 7, _STRANGER), (4, 0, _NONE)], "access control list"),
        ([(4, 0, _NONE), (8, 7, _STRANGER)], "access control list"),
        ([(4, 7, _NONE)], "members of its group"),
        ([(2, 7, 0), (2, 7, os.geteuid()), (4, 5, _NONE)], None),
        ([(2, 5, _STRANGER), (4, 5, _NONE), (8, 5, _STRANGER)], None),
        ([(4, 5, _NONE), (8, 7, os.getegid())], None),
    ],
    ids=["a user", "a group", "the owning group", "root and the caller", "others read", "the caller's own group"],
)
def test_an_access_control_list_counts_only_if_it_lets_others_write(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    accounts: Iterator[list[str]],
    entries: list[tuple[int, int, int]],
    refused: str | None,
) -> None:
    """As `setfacl -m u:1001:rwx` and the like make them: the bits of the group are the list's mask, and grant all."""
    if refused == "members of its group":
        next(accounts).append("mallory")
    listed = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry) for entry in [(1, 7, _NONE), *entries, (0x10, 7, _NONE), (0x20, 0, _NONE)]
    )
    try:
        os.setxattr(home, "system.posix_acl_access", listed)
    except OSError:  # this file system has none
        home.chmod(0o770)
        monkeypatch.setattr(os, "getxattr", lambda *_, **__: listed)
    if refused is None:
        assert opens(home)
    else:
        with pytest.raises(UntrustedPathError, match=refused):
            opens(home)


@pytest.mark.parametrize("listed", [b"", struct.pack("<I", 3), struct.pack("<IH", 2, 4)], ids=["none", "new", "cut"])
def test_an_access_control_list_of_another_form_is_refused(
    home: Path, listed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file system in user space may answer. The kernel sets none such."""
    home.chmod(0o770)
    monkeypatch.setattr(os, "getxattr", lambda *_, **__: listed)
    with pytest.raises(UntrustedPathError, match="access control list"):
        opens(home)
