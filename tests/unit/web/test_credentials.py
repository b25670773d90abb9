"""Who may pass: passwords with real hashes, tokens, and any nonsense in an Authorization header."""

import asyncio
import base64
import threading
from collections.abc import Mapping

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ff_observe.config.secret import Secret
from ff_observe.web.credentials import MOST_WAITING, Door, Verdict, parse_basic
from tests.real_parts import htpasswd

TOKEN = "mF_9.B5f-4.1JqM"  # RFC 6750, 2.1
LONG = "x" * 72
PASSWORDS = {"alice": "secret", "bob": "pässwört: with colon", "carol": LONG}


@pytest.fixture(scope="module")
def users() -> Mapping[str, Secret]:
    if htpasswd.HTPASSWD is None:
        pytest.skip(htpasswd.MISSING)
    return {name: Secret(htpasswd.bcrypt_hash(password)) for name, password in PASSWORDS.items()}


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """Thread and hash of each time bcrypt computed."""
    computed: list[tuple[str, bytes]] = []
    checkpw = bcrypt.checkpw

    def noted(password: bytes, hashed: bytes) -> bool:
        computed.append((threading.current_thread().name, hashed))
        return checkpw(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", noted)
    return computed


def basic(user: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def judged(door: Door, *headers: bytes) -> list[Verdict]:
    async def ask() -> list[Verdict]:
        return [await door.judge(header) for header in headers]

    return asyncio.run(ask())


@pytest.mark.parametrize("user", PASSWORDS)
def test_a_password_opens_by_the_hash_that_htpasswd_made(user: str, users: Mapping[str, Secret]) -> None:
    assert judged(Door(users, None), basic(user, PASSWORDS[user])) == [Verdict.WELCOME]


@pytest.mark.parametrize(
    "header",
    [
        basic("alice", "Secret"),
        basic("alice", ""),
        basic("alice", PASSWORDS["bob"]),
        basic("Alice", "secret"),
        basic("mallory", "secret"),
        basic("", ""),
        basic("alice", "secret\0"),
        basic("alice", "secret") + b"!",
        b"Basic",
        b"Basic ",
        b"Basic " + base64.b64encode(b"alice"),
        b"Bearer " + base64.b64encode(b"alice:secret"),
        base64.b64encode(b"alice:secret"),
        b"Digest username=alice",
        b"",
    ],
)
def test_everything_else_is_refused(header: bytes, users: Mapping[str, Secret]) -> None:
    assert judged(Door(users, None), header) == [Verdict.REFUSED]


def test_the_scheme_is_written_in_any_case(users: Mapping[str, Secret]) -> None:
    door = Door(users, Secret(TOKEN))
    credentials = basic("alice", "secret").removeprefix(b"Basic")
    headers = [b"basic" + credentials, b"BASIC" + credentials, f"bearer {TOKEN}".encode(), f"Bearer  {TOKEN} ".encode()]
    assert judged(door, *headers) == [Verdict.WELCOME] * 4


def test_a_password_longer_than_bcrypt_takes_is_compared_as_far_as_it_does(users: Mapping[str, Secret]) -> None:
    """htpasswd, Go and bcrypt itself leave out what is beyond 72 bytes."""
    door = Door(users, None)
    assert judged(door, basic("carol", LONG + "more"), basic("carol", LONG[1:])) == [Verdict.WELCOME, Verdict.REFUSED]


@pytest.mark.parametrize("token", [TOKEN[:-1], TOKEN + "x", TOKEN.lower(), "", " "])
def test_another_token_is_refused(token: str) -> None:
    door = Door({}, Secret(TOKEN))
    assert judged(door, f"Bearer {token}".encode(), f"Bearer {TOKEN}".encode()) == [Verdict.REFUSED, Verdict.WELCOME]


def test_users_and_token_each_open_alone_and_both_are_named(users: Mapping[str, Secret]) -> None:
    both, token_only, users_only = Door(users, Secret(TOKEN)), Door({}, Secret(TOKEN)), Door(users, None)
    headers = basic("alice", "secret"), f"Bearer {TOKEN}".encode()
    assert judged(both, *headers) == [Verdict.WELCOME, Verdict.WELCOME]
    assert judged(token_only, *headers) == [Verdict.REFUSED, Verdict.WELCOME]
    assert judged(users_only, *headers) == [Verdict.WELCOME, Verdict.REFUSED]
    assert [value.split()[0] for _, value in both.challenges()] == [b"Basic", b"Bearer"]
    assert [value.split()[0] for _, value in token_only.challenges()] == [b"Bearer"]
    assert not both.is_open
    assert not token_only.is_open
    assert not users_only.is_open
    assert Door({}, None).is_open


def test_a_right_password_is_computed_once_and_off_the_event_loop(
    users: Mapping[str, Secret], checks: list[tuple[str, bytes]]
) -> None:
    assert judged(Door(users, None), *[basic("alice", "secret")] * 50) == [Verdict.WELCOME] * 50
    assert [thread for thread, _ in checks] != [threading.current_thread().name]
    assert len(checks) == 1


def test_a_wrong_password_is_computed_each_time(users: Mapping[str, Secret], checks: list[tuple[str, bytes]]) -> None:
    assert judged(Door(users, None), *[basic("alice", "guess")] * 3) == [Verdict.REFUSED] * 3
    assert len(checks) == 3


def test_an_unknown_user_costs_as_much_as_a_known_one_and_always_the_same(
    users: Mapping[str, Secret], checks: list[tuple[str, bytes]]
) -> None:
    hashes = {hashed.reveal().encode() for hashed in users.values()}
    door = Door(users, None)
    judged(door, *[basic("mallory", "guess")] * 5)
    assert len(checks) == 5
    assert len({hashed for _, hashed in checks} & hashes) == 1
    judged(door, *[basic(f"user {number}", "guess") for number in range(60)])
    assert {hashed for _, hashed in checks} == hashes  # with different costs, strangers are as different as users


def test_the_password_of_the_user_a_stranger_is_compared_with_does_not_open(users: Mapping[str, Secret]) -> None:
    door = Door({"alice": users["alice"]}, None)
    assert judged(door, basic("mallory", "secret"), basic("mallory", "secret")) == [Verdict.REFUSED] * 2


def test_a_flood_of_passwords_is_turned_away_and_who_is_known_still_passes(users: Mapping[str, Secret]) -> None:
    door = Door(users, None)

    async def flood() -> tuple[list[Verdict], Verdict, Verdict]:
        first = await door.judge(basic("alice", "secret"))
        guesses = [asyncio.create_task(door.judge(basic("alice", f"guess {n}"))) for n in range(MOST_WAITING * 2)]
        await asyncio.sleep(0)
        known = await door.judge(basic("alice", "secret"))
        return list(await asyncio.gather(*guesses)), first, known

    verdicts, first, known = asyncio.run(flood())
    assert (first, known) == (Verdict.WELCOME, Verdict.WELCOME)
    assert verdicts.count(Verdict.BUSY) == MOST_WAITING
    assert verdicts.count(Verdict.REFUSED) == MOST_WAITING
    assert judged(door, basic("bob", PASSWORDS["bob"])) == [Verdict.WELCOME]  # nobody waits for ever


def test_many_first_requests_with_one_password_compute_it_once(
    users: Mapping[str, Secret], checks: list[tuple[str, bytes]]
) -> None:
    door = Door(users, None)

    async def together() -> list[Verdict]:
        return list(await asyncio.gather(*(door.judge(basic("alice", "secret")) for _ in range(8))))

    assert asyncio.run(together()) == [Verdict.WELCOME] * 8
    assert len(checks) == 1


@given(st.binary(max_size=100), st.sampled_from([b"", b"Basic ", b"basic", b"Bearer ", b"Bearer\t"]))
def test_no_nonsense_opens_or_breaks(rest: bytes, scheme: bytes) -> None:
    hashed = Secret("$2y$04$l1DVfP1Nj5yOBgpCtPncDugbEQt2Kypq5ZkWbB3ZiZl4a7TuZGpFO")
    assert judged(Door({"alice": hashed}, Secret(TOKEN)), scheme + rest) == [Verdict.REFUSED]


@given(st.text(alphabet=st.characters(exclude_characters=":", exclude_categories=["Cs"])), st.text(max_size=18))
def test_basic_credentials_are_read_as_they_were_written(user: str, password: str) -> None:
    """The oracle is the construction in RFC 7617, section 2: base64 of `user:password`."""
    written = f"{user}:".encode() + password.encode("utf-8", "surrogatepass")
    read = parse_basic(base64.b64encode(written))
    assert read == (user.encode(), password.encode("utf-8", "surrogatepass"))
