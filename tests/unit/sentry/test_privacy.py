"""What an event does not tell, against a receiver that keeps every byte."""

import json
import logging
import sys
from pathlib import Path

import pytest
import sentry_sdk

from ff_observe.config.secret import MASK
from ff_observe.outputs.sentry.component import send_test_event
from tests.real_parts.envelopes import KEY, Receiver, receiver
from tests.unit.sentry.samples import PASSWORD, VERSION, Bridge, provoke, settings

# What must never leave, whatever carries it. The first two are only known because the settings hold them.
PLANTED = {
    "database password": PASSWORD,
    "licence": "planted-licence-0123456789",
    "key of the DSN": KEY,
    "IPv4": "198.51.100.23",
    "IPv6": "2001:db8::beef",
    "e-mail": "jane.doe@example.org",
    "URL": "hunter2hunter2",
    "local": "local-variable-of-a-frame",
}


class Unlucky:
    """Its representation tells everything."""

    def __repr__(self) -> str:
        return f"<Unlucky password={PLANTED['URL']!r} of {PLANTED['e-mail']} at {PLANTED['IPv6']}>"


def lose(*arguments: object) -> None:
    raise ConnectionError(*arguments)


def fail_with_everything() -> None:
    local = PLANTED["local"]
    assert local
    everything = " ".join(f"[{name}] {secret}" for name, secret in PLANTED.items() if name not in ("local", "URL"))
    url = f"postgresql://flowforge:{PLANTED['URL']}@db.internal/flowforge"
    log = logging.getLogger("ff_observe.test")
    log.warning("about to fail: %s", everything, extra={"peer": PLANTED["IPv4"], "password": "only here, in a key"})
    log.error("with %s and %r", url, Unlucky())
    try:
        lose(everything, {PLANTED["e-mail"]: url})
    except ConnectionError as error:
        error.add_note(f"while talking to {PLANTED['IPv6']}")
        raise RuntimeError(f"could not open {url}", everything.encode()) from error


def test_no_secret_leaves_in_any_part_of_an_event(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ff-observe", "--config", "argument-of-the-command-line"])
    with Bridge(settings(server.dsn)) as bridge:
        try:
            fail_with_everything()
        except RuntimeError as error:
            bridge.sentry.capture(error, f"thread of {PLANTED['e-mail']}")
    [event] = server.events()
    assert "about to fail" in str(event["breadcrumbs"])  # else the rest would prove nothing
    assert "while talking to" in str(event["exception"])
    sent = server.everything.decode()
    for name, secret in PLANTED.items():
        assert secret not in sent, name
    assert "only here" not in sent
    assert "argument-of-the-command-line" not in sent
    assert str(Path(__file__).parent) not in sent


def test_no_sdk_cuts_a_secret_before_it_is_recognised(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sentry_sdk.consts.DEFAULT_OPTIONS, "max_value_length", 1024)  # that of SDK 2.30
    with Bridge(settings(server.dsn)) as bridge:
        provoke(bridge.sentry, RuntimeError(f"{'x' * 1010}{PASSWORD} was refused"))
    [event] = server.events()
    assert event["exception"]["values"][-1]["value"] == f"{'x' * 1010}{MASK} was refused"


def test_source_lines_and_other_modules_are_not_sent(server: Receiver) -> None:
    with Bridge(settings(server.dsn)) as bridge:
        provoke(bridge.sentry, ValueError("plain"))
    [event] = server.events()
    frames = [frame for error in event["exception"]["values"] for frame in error["stacktrace"]["frames"]]
    assert frames
    assert {key for frame in frames for key in frame} <= {"filename", "function", "module", "lineno", "in_app"}
    assert "modules" not in event
    assert "extra" not in event or "sys.argv" not in event["extra"]


def test_nothing_of_what_the_host_program_does_with_the_sdk_leaves(server: Receiver) -> None:
    import sentry_sdk

    with Bridge(settings(server.dsn)):
        with sentry_sdk.start_transaction(name="a transaction", sampled=True):
            pass
        sentry_sdk.get_isolation_scope().start_session()
        sentry_sdk.get_isolation_scope().end_session()
        sentry_sdk.set_user({"email": "jane.doe@example.org", "id": "4711"})
        sentry_sdk.capture_message("an event of the host")
        sentry_sdk.get_isolation_scope().set_user(None)
    assert server.requests == []


def test_no_copy_goes_to_a_sidecar_that_the_environment_names(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as sidecar:
        monkeypatch.setenv("SENTRY_SPOTLIGHT", f"http://127.0.0.1:{sidecar.port}/stream")
        send_test_event(settings(server.dsn), VERSION)
    assert len(server.events()) == 1
    assert sidecar.requests == []


def test_the_key_is_in_the_header_that_needs_it_and_nowhere_else(server: Receiver) -> None:
    import sentry_sdk

    with Bridge(settings(server.dsn)) as bridge, sentry_sdk.start_transaction(name="of the host", sampled=True):
        provoke(bridge.sentry, ValueError("within a trace of the host program"))
    [request] = server.requests
    assert KEY in request.headers["X-Sentry-Auth"]
    assert KEY.encode() not in server.everything
    assert json.loads(request.body.split(b"\n")[0]).keys() == {"event_id", "sent_at"}
