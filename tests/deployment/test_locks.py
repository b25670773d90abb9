"""What people and CI install from: every version with its hashes, and nothing that they would have to compile."""

import pytest

from tests.deployment import locks, matrix

PYTHONS = tuple((3, int(python.removeprefix("3."))) for python in matrix.PYTHONS)
MACHINES = ("x86_64", "aarch64")
LEFT_OUT = {
    ("x86_64", (3, 14)): {"atheris", "rotel"},
    ("aarch64", (3, 11)): {"atheris"},
    ("aarch64", (3, 12)): {"atheris"},
    ("aarch64", (3, 13)): {"atheris"},
    ("aarch64", (3, 14)): {"atheris", "rotel"},
}
"""The tools of our tests that are not installed there, for want of a wheel; the tests that need them are skipped."""


@pytest.mark.parametrize("python", PYTHONS, ids=lambda python: ".".join(map(str, python)))
@pytest.mark.parametrize("machine", MACHINES)
def test_everything_that_is_installed_has_a_wheel_and_two_tools_are_not(machine: str, python: tuple[int, int]) -> None:
    needed = locks.needed(locks.ALL.read_text(), python, machine)
    assert [name for name, has_wheel in needed.items() if not has_wheel] == []
    assert locks.direct() - needed.keys() == LEFT_OUT.get((machine, python), set())


def test_a_wheel_for_another_machine_or_a_newer_python_is_none() -> None:
    lock = "# wheels: cp311-cp311-manylinux_2_17_x86_64 cp312-abi3-manylinux2014_aarch64\nx==1 \\\n    --hash=sha256:00"
    assert locks.needed(lock, (3, 11), "x86_64") == {"x": True}
    assert locks.needed(lock, (3, 12), "x86_64") == {"x": False}
    assert locks.needed(lock, (3, 11), "aarch64") == {"x": False}
    assert locks.needed(lock, (3, 14), "aarch64") == {"x": True}


def test_what_is_not_installed_there_needs_no_wheel() -> None:
    lock = "# wheels:\nx==1 ; python_full_version < '3.12' and sys_platform == 'linux' \\\n    --hash=sha256:00"
    assert locks.needed(lock, (3, 11), "x86_64") == {"x": False}
    assert locks.needed(lock, (3, 12), "x86_64") == {}


def test_a_lock_holds_no_address_and_the_hash_of_every_file() -> None:
    pylock = """
[[packages]]
name = "x"
version = "1.0"
marker = "python_version < '3.13'"
sdist = { url = "https://a.invalid/x-1.0.tar.gz", hashes = { sha256 = "bb" } }
wheels = [
  { url = "https://a.invalid/x-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", hashes = { sha256 = "cc" } },
  { url = "https://a.invalid/x-1.0-cp311-cp311-win_amd64.whl", hashes = { sha256 = "aa" } },
]
"""
    assert "\n".join(locks.without_addresses(pylock)) == (
        "# wheels: cp311-cp311-manylinux_2_17_x86_64\n"
        "x==1.0 ; python_version < '3.13' \\\n"
        "    --hash=sha256:aa \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc"
    )
