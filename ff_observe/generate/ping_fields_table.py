"""The table of the ping's fields in PRIVACY.md."""

from ff_observe.generate.markdown import table
from ff_observe.outputs.ping.explained import origin
from ff_observe.ping_contract import FIELDS, Field


def render() -> str:
    """One line for each field: what it is and for what, where it comes from, what it discloses, what is kept of it."""
    return table(
        ("field", "what it is", "where it comes from", "sensitivity", "purpose", "reviewed", "rolled up", "since"),
        map(_row, FIELDS),
    )


def _row(field: Field) -> tuple[str, ...]:
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
