"""A path is trusted only where no user but root and the caller can change any part of it, links included."""

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from ff_observe.trusted_path import UntrustedPathError, check_trusted_file, trusted_directory


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


def test_an_access_control_list_that_lets_others_write_counts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `setfacl -m u:1001:rwx` makes it: the bits of the group are the list's mask."""
    entries = ((1, 7, 0xFFFFFFFF), (2, 7, 1001), (4, 0, 0xFFFFFFFF), (0x10, 7, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF))
    listed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(home, "system.posix_acl_access", listed)
    except OSError:  # this file system has none
        home.chmod(0o770)
        monkeypatch.setattr(os, "getxattr", lambda *_, **__: listed)
    with pytest.raises(UntrustedPathError, match=r"access control list|members of its group"), trusted_directory(home):
        pass
