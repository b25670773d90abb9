"""Templates and stacks stand under their own names, whichever of the two programs sent the ping."""

import pytest

from ff_observe.collector.receiving.receiver import put_right
from ff_observe.outputs.ping.delivery import USER_AGENT
from tests.unit.collector.pings import ping

SENT = ping(platform__counts__projectTemplates=3, platform__counts__projectStacks=8)


def counts(user_agent: str | None) -> tuple[object, object]:
    headers = [(b"host", b"a"), *([] if user_agent is None else [(b"user-agent", user_agent.encode())])]
    document = SENT._replace(values=put_right(SENT.values, headers)).document()
    found = document["platform"]["counts"]  # type: ignore[index]  # any JSON
    return found.get("projectTemplates"), found.get("projectStacks")


def test_those_of_flowfuse_are_swapped() -> None:
    assert counts("axios/1.19.0") == (8, 3)


def test_those_of_ff_observe_are_not() -> None:
    assert counts(USER_AGENT) == (3, 8)


@pytest.mark.parametrize("user_agent", [None, "", "curl/8.1", "notaxios/1", "Mozilla/5.0 axios/1"])
def test_those_of_others_are_not_kept(user_agent: str | None) -> None:
    assert counts(user_agent) == (None, None)


def test_a_ping_without_them_is_left_as_it_is() -> None:
    values = ping().values
    assert put_right(values, []) is values
