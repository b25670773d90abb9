"""What the tests of backend Sentry share: a receiver that keeps every byte."""

from collections.abc import Iterator

import pytest

from tests.real_parts.envelopes import Receiver, receiver

VERSION = "2.33.2"


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as running:
        yield running
