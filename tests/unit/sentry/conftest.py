"""What the tests of backend Sentry share: a receiver that keeps every byte."""

import sys
from collections.abc import Iterator

import pytest

from tests.real_parts.envelopes import Receiver, receiver

VERSION = "2.33.2"


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(autouse=True)
def breadcrumbs_start_afresh() -> Iterator[None]:
    """The SDK keeps breadcrumbs per thread, and pytest's is one for all tests."""
    yield
    if "sentry_sdk" in sys.modules:
        import sentry_sdk

        sentry_sdk.get_isolation_scope().clear()
