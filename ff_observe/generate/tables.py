"""The derived tables within hand-written documents: PRIVACY.md, docs/collector.md and docs/egress.md."""

from ff_observe.catalogue import PLATFORM, SELF
from ff_observe.catalogue.model import Sensitivity
from ff_observe.catalogue.ping_contract import FIELDS, Field
from ff_observe.catalogue.quality import RULES
from ff_observe.egress.flowfuse import CALLS
from ff_observe.generate.markdown import name_and_labels, table
from ff_observe.outputs import OUTPUTS
from ff_observe.outputs.ping.explained import origin


def outputs() -> str:
    """One line for each output: what leaves, its receiver, the key that switches it, and how to stop it."""
    return table(
        ("output", "what leaves", "to whom", "switched by", "stopped by"),
        ((output.title, output.content, output.receiver, f"`{output.key}`", output.stop) for output in OUTPUTS),
    )


def ping_fields() -> str:
    """One line for each field: what it is and for what, where it comes from, what it discloses, what is kept of it."""
    return table(
        ("field", "what it is", "where it comes from", "sensitivity", "purpose", "reviewed", "rolled up", "since"),
        map(_of_field, FIELDS),
    )


def disclosed() -> str:
    """One line for each sensitivity, with the metrics of platform and bridge that have it and their labels."""
    return table(
        ("sensitivity", "what the samples disclose", "metrics"),
        (
            (
                one.value,
                one.meaning,
                ", ".join(name_and_labels(each) for each in (*PLATFORM, *SELF) if each.sensitivity is one),
            )
            for one in Sensitivity
        ),
    )


def quality() -> str:
    """One line for each rule of data quality: what a finding means, and what to do about it."""
    return table(("rule", "a finding means", "what to do"), ((f"`{r.name}`", r.meaning, r.remedy) for r in RULES))


def egress() -> str:
    """One line for each of FlowFuse's own calls: who makes it, to whom, with which data, and how to stop it."""
    return table(
        ("by", "host", "why", "data", "stopped by", "since", "where FlowFuse does it"),
        (
            (
                call.by,
                " or ".join(filter(None, (call.host, f"that of `{call.names_host}`" if call.names_host else ""))),
                *(call.why, call.data, call.stop, call.since, f"`{call.source}`"),
            )
            for call in CALLS
        ),
    )


def _of_field(field: Field) -> tuple[str, ...]:
    review = field.review
    purpose, when = (
        ("", "no: neither sent nor stored")
        if review is None
        else (review.purpose, f"{review.on}" + ("" if review.expires is None else f", until {review.expires}"))
    )
    return (
        f"`{field.dotted}`",
        field.help,
        origin(field),
        field.sensitivity,
        purpose,
        when,
        field.rolled_up,
        field.since,
    )
