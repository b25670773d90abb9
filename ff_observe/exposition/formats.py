"""The exposition formats, and families of metrics encoded in them."""

from collections.abc import Iterable, Iterator
from enum import Enum, StrEnum
from typing import Final, NamedTuple

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, CONTENT_TYPE_PLAIN_1_0_0, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from ff_observe.exposition import openmetrics_2

_END: Final = b"# EOF\n"


class Format(Enum):
    """The exposition formats; the value is the content type of an answer, but for the scheme of escaping.

    Text 1.0.0 differs from 0.0.4 only in how it spells names that need quotes, and the catalogue has none.
    """

    TEXT_0_0_4 = CONTENT_TYPE_PLAIN_0_0_4
    TEXT_1_0_0 = CONTENT_TYPE_PLAIN_1_0_0
    OPENMETRICS_1_0_0 = CONTENT_TYPE_OPENMETRICS
    OPENMETRICS_2_0_0 = openmetrics_2.CONTENT_TYPE

    @property
    def is_openmetrics(self) -> bool:
        return self in (Format.OPENMETRICS_1_0_0, Format.OPENMETRICS_2_0_0)


class Escaping(StrEnum):
    """How names that need quotes are spelled; names of letters, digits and underscores are the same in each.

    `dots` is answered with `underscores`: it would double every underscore, and so rename every metric that dashboards
    and alerts ask for.
    """

    ALLOW_UTF_8 = "allow-utf-8"
    UNDERSCORES = "underscores"
    VALUES = "values"


class Form(NamedTuple):
    """What a request asks for: a format, and in those that have one, a scheme of escaping."""

    format: Format
    escaping: Escaping | None = None

    @property
    def content_type(self) -> str:
        return self.format.value if self.escaping is None else f"{self.format.value}; escaping={self.escaping}"


def encode(families: Iterable[Family], exposition_format: Format) -> bytes:
    return join((encode_one(family, exposition_format) for family in families), exposition_format)


def encode_one(family: Family, exposition_format: Format) -> bytes:
    """The lines of one family, for `join`. The library's encoders accept anything with a `collect`: no registry is
    needed.

    A counter's start (`…_created`) is in OpenMetrics only: the text format would make gauges of it.
    """
    if exposition_format is Format.OPENMETRICS_2_0_0:
        return openmetrics_2.encode(family)
    if exposition_format is Format.OPENMETRICS_1_0_0:
        encoded = generate_openmetrics(_Alone(family))  # type: ignore[no-untyped-call]  # the library leaves it untyped
        return bytes(encoded).removesuffix(_END)
    if family.type in ("counter", "histogram"):
        family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    return generate_latest(_Alone(family))


def join(encoded: Iterable[bytes], exposition_format: Format) -> bytes:
    """One exposition of encoded families."""
    return b"".join(encoded) + (_END if exposition_format.is_openmetrics else b"")


class _Alone(Collector):
    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> Iterator[Family]:
        yield self._family
