"""What the tests of OTLP share."""

import logging
from collections.abc import Iterator

import pytest

from tests.unit.otlp.watching import Heard


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, root = Heard(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)
