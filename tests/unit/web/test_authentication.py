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
from ff_observe.web import authentication
from ff_observe.web.authentication import Authenticator, Verdict, parse_basic
from tests.fakes import no_more_threads
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


def checked(authenticator: Authenticator, *headers: bytes) -> list[Verdict]:
    async def ask() -> list[Verdict]:
        return [await authenticator.check(header) for header in headers]

    return asyncio.run(ask())


@pytest.mark.parametrize("user", PASSWORDS)
def test_a_password_opens_by_the_hash_that_htpasswd_made(user: str, users: Mapping[str, Secret]) -> None:
    assert checked(Authenticator(users, None), basic(user, PASSWORDS[user])) == [Verdict.ALLOWED]


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
def test_everything_else_is_denied(header: bytes, users: Mapping[str, Secret]) -> None:
    assert checked(Authenticator(users, None), header) == [Verdict.DENIED]


def test_the_scheme_is_written_in_any_case(users: Mapping[str, Secret]) -> None:
    authenticator = Authenticator(users, Secret(TOKEN))
    credentials = basic("alice", "secret").removeprefix(b"Basic")
    headers = [b"basic" + credentials, b"BASIC" + credentials, f"bearer {TOKEN}".encode(), f"Bearer  {TOKEN} ".encode()]
    assert checked(authenticator, *headers) == [Verdict.ALLOWED] * 4


def test_a_password_longer_than_bcrypt_takes_is_compared_as_far_as_it_does(users: Mapping[str, Secret]) -> None:
    """htpasswd, Go and bcrypt itself leave out what is beyond 72 bytes."""
    authenticator = Authenticator(users, None)
    assert checked(authenticator, basic("carol", LONG + "more"), basic("carol", LONG[1:])) == [
        Verdict.ALLOWED,
        Verdict.DENIED,
    ]


@pytest.mark.parametrize("token", [TOKEN[:-1], TOKEN + "x", TOKEN.lower(), "", " "])
def test_another_token_is_refused(token: str) -> None:
    authenticator = Authenticator({}, Secret(TOKEN))
    assert checked(authenticator, f"Bearer {token}".encode(), f"Bearer {TOKEN}".encode()) == [
        Verdict.DENIED,
        Verdict.ALLOWED,
    ]


def test_users_and_token_each_open_alone_and_both_are_named(users: Mapping[str, Secret]) -> None:
    both, token_only, users_only = (
        Authenticator(users, Secret(TOKEN)),
        Authenticator({}, Secret(TOKEN)),
        Authenticator(users, None),
    )
    headers = basic("alice", "secret"), f"Bearer {TOKEN}".encode()
    assert checked(both, *headers) == [Verdict.ALLOWED, Verdict.ALLOWED]
    assert checked(token_only, *headers) == [Verdict.DENIED, Verdict.ALLOWED]
    assert checked(users_only, *headers) == [Verdict.ALLOWED, Verdict.DENIED]
    assert [value.split()[0] for _, value in both.challenges()] == [b"Basic", b"Bearer"]
    assert [value.split()[0] for _, value in token_only.challenges()] == [b"Bearer"]
    assert not both.is_open
    assert not token_only.is_open
    assert not users_only.is_open
    assert Authenticator({}, None).is_open


def test_a_right_password_is_computed_once_and_off_the_event_loop(
    users: Mapping[str, Secret], checks: list[tuple[str, bytes]]
) -> None:
    assert checked(Authenticator(users, None), *[basic("alice", "secret")] * 50) == [Verdict.ALLOWED] * 50
    assert [thread for thread, _ in checks] != [threading.current_thread().name]
    assert len(checks) == 1


def test_a_wrong_password_is_computed_each_time(users: Mapping[str, Secret], checks: list[tuple[str, bytes]]) -> None:
    assert checked(Authenticator(users, None), *[basic("alice", "guess")] * 3) == [Verdict.DENIED] * 3
    assert len(checks) == 3


def test_an_unknown_user_costs_as_much_as_a_known_one_and_always_the_same(
    users: Mapping[str, Secret], checks: list[tuple[str, bytes]]
) -> None:
    hashes = {hashed.reveal().encode() for hashed in users.values()}
    authenticator = Authenticator(users, None)
    checked(authenticator, *[basic("mallory", "guess")] * 5)
    assert len(checks) == 5
    assert len({hashed for _, hashed in checks} & hashes) == 1
    checked(authenticator, *[basic(f"user {number}", "guess") for number in range(60)])
    assert {hashed for _, hashed in checks} == hashes  # with different costs, strangers are as different as users


def test_the_password_of_the_user_a_stranger_is_compared_with_does_not_open(users: Mapping[str, Secret]) -> None:
    authenticator = Authenticator({"alice": users["alice"]}, None)
    assert checked(authenticator, basic("mallory", "secret"), basic("mallory", "secret")) == [Verdict.DENIED] * 2


def at_once(authenticator: Authenticator, *asked: tuple[str, bytes]) -> list[Verdict]:
    """The verdicts on requests from these addresses with these headers, in the order in which they are reached."""
    reached: list[Verdict] = []

    async def together() -> None:
        async def check(port: int, address: str, header: bytes) -> None:
            reached.append(await authenticator.check(header, (address, port)))

        await asyncio.gather(*(check(port, *each) for port, each in enumerate(asked)))

    asyncio.run(together())
    return reached


def test_who_is_known_passes_without_waiting_for_a_flood_of_passwords(users: Mapping[str, Secret]) -> None:
    authenticator = Authenticator(users, None)
    assert checked(authenticator, basic("alice", "secret")) == [Verdict.ALLOWED]
    flood = [("198.51.100.1", basic("alice", f"guess {n}")) for n in range(20)]
    assert at_once(authenticator, *flood, ("192.0.2.1", basic("alice", "secret")))[0] is Verdict.ALLOWED


def test_a_right_password_does_not_wait_for_the_wrong_ones_of_another_address(users: Mapping[str, Secret]) -> None:
    flood = [("198.51.100.1", basic("alice", f"guess {n}")) for n in range(50)]
    verdicts = at_once(Authenticator(users, None), *flood, ("192.0.2.1", basic("alice", "secret")))
    assert Verdict.ALLOWED in verdicts[:3]
    assert verdicts.count(Verdict.DENIED) == 50


def test_a_right_password_goes_before_those_who_guess_on_behind_the_same_address(users: Mapping[str, Secret]) -> None:
    authenticator, proxy = Authenticator(users, None), "198.51.100.1"
    reached: list[Verdict] = []

    async def guess(port: int) -> None:
        for number in range(3):
            verdict = await authenticator.check(basic("alice", f"{port} {number}"), (proxy, port))
            reached.append(verdict)

    async def scrape() -> None:
        while len(reached) < 20:  # every guesser has failed once
            await asyncio.sleep(0)
        reached.append(await authenticator.check(basic("alice", "secret"), (proxy, 10_000)))

    async def together() -> None:
        await asyncio.gather(*(guess(port) for port in range(20)), scrape())

    asyncio.run(together())
    assert Verdict.ALLOWED in reached[20:23]


def test_of_too_many_passwords_those_of_the_busiest_address_are_turned_away(
    users: Mapping[str, Secret], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "MOST_WAITING", 10)
    flood = [("198.51.100.1", basic("alice", f"guess {n}")) for n in range(100)]
    others = [(f"192.0.2.{n}", basic("alice", "secret")) for n in range(5)]
    verdicts = at_once(Authenticator(users, None), *flood, *others)
    assert verdicts.count(Verdict.ALLOWED) == 5
    assert verdicts.count(Verdict.BUSY) == 100 + 5 - (10 + 1)  # one is computed, ten wait


def test_a_client_that_leaves_while_it_waits_holds_up_nobody(users: Mapping[str, Secret]) -> None:
    authenticator = Authenticator(users, None)

    async def leave() -> Verdict:
        guesses = [asyncio.create_task(authenticator.check(basic("alice", f"guess {n}"))) for n in range(10)]
        await asyncio.sleep(0)
        for guess in guesses:
            guess.cancel()
        return await authenticator.check(basic("alice", "secret"))

    assert asyncio.run(leave()) is Verdict.ALLOWED


def test_a_client_that_leaves_as_it_is_turned_away_locks_no_other_out(
    users: Mapping[str, Secret], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "MOST_WAITING", 10)
    authenticator = Authenticator(users, None)

    async def leave() -> tuple[object, Verdict]:
        flood = [("198.51.100.1", port) for port in range(11)]
        guesses = [
            asyncio.create_task(authenticator.check(basic("alice", f"guess {port}"), client))
            for port, client in enumerate(flood)
        ]
        await asyncio.sleep(0)
        other = asyncio.create_task(authenticator.check(basic("alice", "guess"), ("192.0.2.1", 1)))
        guesses[-1].cancel()  # in the same turn of the loop: the newest of the busiest address, which has to go
        (found,) = await asyncio.gather(other, return_exceptions=True)
        return found, await authenticator.check(basic("alice", "secret"), ("192.0.2.2", 1))

    assert asyncio.run(leave()) == (Verdict.DENIED, Verdict.ALLOWED)


def test_a_thread_that_cannot_be_started_locks_no_other_out(users: Mapping[str, Secret]) -> None:
    authenticator = Authenticator(users, None)
    with no_more_threads(), pytest.raises(RuntimeError):
        checked(authenticator, basic("alice", "secret"))
    assert checked(authenticator, basic("alice", "secret")) == [Verdict.ALLOWED]


def test_a_password_is_remembered_while_its_hash_stays(
    users: Mapping[str, Secret], checks: list[tuple[str, bytes]]
) -> None:
    before = Authenticator(users, None)
    assert checked(before, basic("alice", "secret"), basic("bob", PASSWORDS["bob"])) == [Verdict.ALLOWED] * 2
    after = Authenticator({**users, "bob": users["carol"]}, None, before)
    assert after.check_now(basic("alice", "secret")) is Verdict.ALLOWED
    assert checked(after, basic("bob", PASSWORDS["bob"]), basic("bob", LONG)) == [Verdict.DENIED, Verdict.ALLOWED]
    assert Authenticator({}, None, after).is_open
    assert len(checks) == 4


def test_many_first_requests_with_one_password_compute_it_once(
    users: Mapping[str, Secret], checks: list[tuple[str, bytes]]
) -> None:
    authenticator = Authenticator(users, None)

    async def together() -> list[Verdict]:
        return list(await asyncio.gather(*(authenticator.check(basic("alice", "secret")) for _ in range(8))))

    assert asyncio.run(together()) == [Verdict.ALLOWED] * 8
    assert len(checks) == 1


@given(st.binary(max_size=100), st.sampled_from([b"", b"Basic ", b"basic", b"Bearer ", b"Bearer\t"]))
def test_no_nonsense_opens_or_breaks(rest: bytes, scheme: bytes) -> None:
    hashed = Secret("$2y$04$l1DVfP1Nj5yOBgpCtPncDugbEQt2Kypq5ZkWbB3ZiZl4a7TuZGpFO")
    assert checked(Authenticator({"alice": hashed}, Secret(TOKEN)), scheme + rest) == [Verdict.DENIED]


@given(st.text(alphabet=st.characters(exclude_characters=":", exclude_categories=["Cs"])), st.text(max_size=18))
def test_basic_credentials_are_read_as_they_were_written(user: str, password: str) -> None:
    """The oracle is the construction in RFC 7617, section 2: base64 of `user:password`."""
    written = f"{user}:".encode() + password.encode("utf-8", "surrogatepass")
    read = parse_basic(base64.b64encode(written))
    assert read == (user.encode(), password.encode("utf-8", "surrogatepass"))
