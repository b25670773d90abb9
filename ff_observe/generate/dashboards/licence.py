"""FlowFuse / Licence: usage against each limit, as FlowFuse counts it, and when a limit or the end is reached."""

from ff_observe.catalogue import facts
from ff_observe.catalogue.model import in_text
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import Query, named, of, once

NO_END = "no end, or no answer"
NOT_IN_SIGHT = "not in sight"

GROWTH_OVER = "[84d:1h]"
"""The past from which growth is extrapolated: twelve whole weeks, so that neither a weekend nor a busy fortnight is a
trend.
One value per hour is enough, and cheap. Of 28, 56 and 84 days, this is the most accurate on synthetic years
(tests/end_to_end/test_dashboards_burn_down.py)."""

WEEK = "[7d:1h]"

HORIZON_SECONDS = 2 * 365 * 86_400
"""Dates beyond this are not shown: growth does not continue unchanged for years."""

_RULE = """\
**How FlowFuse counts.** The limit `instances` of licences since FlowFuse 2.2, and of platforms without a licence,
covers hosted instances *and devices together*; older licences limit `instances` and `devices` apart. Suspended users
and instances count. FlowFuse's own statistics compare that limit with hosted instances alone; the figures here are
what it holds against the limit.

**At a limit**, FlowFuse with a licence permits more, and audits each one as `platform.license.overage`; without a
licence it refuses more.

**When a licence expires** (FlowFuse 2.8 and later), new devices are refused at once, a new or suspended instance that
is started ends suspended, and MQTT clients on the v1 route are refused. At **02:00**, by the clock of FlowFuse's
server, it suspends every running instance, and again every night.

**Dates of limits** continue the growth of the last twelve weeks (or of as long as Prometheus remembers) as a straight
line, from the most there was in a week. There is none in the first week, without growth, or
beyond two years; for a limit that is full, it is today."""


def limit_reached_at(limit: str, usage: str, within_seconds: int = HORIZON_SECONDS) -> str:
    """PromQL for the moment, in seconds since 1970, when usage reaches the limit if it goes on growing as it did. No
    series where it does not grow, the limit is further off than `within_seconds`, or usage was not known a week ago:
    the devices of a first afternoon are no trend.

    Both are instant vectors of the same labels. The pace is that of a line fitted by least squares; it starts at the
    most there was in a week, for a limit is reached by the peaks.
    """
    room = f"clamp_min({limit} - max_over_time({usage}{WEEK}), 0)"
    return (
        f"(time() + {room} / (deriv({usage}{GROWTH_OVER}) > 0)) < time() + {within_seconds}"
        f" and present_over_time({usage}[1d:1h] offset 7d)"
    )


def limit_reached_at_or_now(limit: str, usage: str) -> str:
    """The same; the present moment where the limit is reached already, even if nothing grows any more: without a
    licence, FlowFuse refuses more."""
    return f"({limit_reached_at(limit, usage)}) or (time() + 0 * ({usage} >= {limit} > 0))"


def of_each(vector: str) -> str:
    """The limits or usage of each bridge, whatever other labels its target has had: a new pod is no new platform."""
    return f"max by (job, instance, resource) ({vector})"


def suspension_at(expiry: str) -> str:
    """PromQL for the first 02:00 (UTC) at or after the licence has expired."""
    return f"ceil(({expiry} - 7200) / 86400) * 86400 + 7200"


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-licence",
        "Usage against each limit of the licence, head room, and the dates that matter.",
        facts.UP,
        {"": _licence(), "Limits": _limits(), "Usage over time": _over_time()},
        empty=p.NO_ANSWER,
        since="now-30d",
    )


def _reached() -> str:
    return limit_reached_at_or_now(of_each(of(facts.LICENSE_LIMIT)), of_each(of(facts.LICENSE_USAGE)))


def _licence() -> list[p.Panel]:
    expiry = of(facts.LICENSE_EXPIRY)
    kinds = f"max by (license_type, tier) ({of(facts.LICENSE_INFO)})"
    return [
        p.number(
            facts.LICENSE_ACTIVE,
            f"min({of(facts.LICENSE_ACTIVE)})",
            mappings={"0": ("none", p.QUIET), "1": ("loaded", p.GOOD)},
        ),
        p.word(
            "Type and tier",
            f'label_join({kinds}, "licence", " ", "license_type", "tier")',
            "licence",
            facts.LICENSE_INFO.help,
            empty="none, or no answer",
        ),
        p.number(
            "Expires in",
            f"(min({expiry}) - time()) / 86400",
            facts.LICENSE_EXPIRY.help + " Of several platforms, the first.",
            unit=p.DAYS_UNIT,
            decimals=0,
            steps=p.DAYS_LEFT_STEPS,
            empty=NO_END,
        ),
        p.number(
            "Suspends on",
            f"1000 * min({suspension_at(expiry)})",
            "When FlowFuse, 2.8 and later, suspends every running instance, unless the licence is renewed: the first "
            "02:00 after it expired. Taken for UTC, shown in your time zone; FlowFuse goes by the clock of its server.",
            unit=p.MINUTE_UNIT,
            empty=NO_END,
        ),
        p.number(
            "Fullest limit",
            f"max({of(facts.LICENSE_USAGE)} / ({of(facts.LICENSE_LIMIT)} > 0))",
            "Usage of the limit that is closest to being reached.",
            unit=p.SHARE_UNIT,
            decimals=0,
            steps=p.FULLNESS_STEPS,
        ),
        p.number(
            "Limit reached",
            f"1000 * min({_reached()})",
            "When the first limit is reached, if usage goes on growing as in the last twelve weeks. Known after "
            "the first week of usage.",
            unit=p.DAY_UNIT,
            empty=f"{NOT_IN_SIGHT}, or no answer",
        ),
    ]


def _limits() -> list[p.Panel]:
    usage, limit = of(facts.LICENSE_USAGE), of(facts.LICENSE_LIMIT)

    def each(expression: str, of_bridges: str = "max") -> str:
        return named(once(expression, "resource", of_bridges=of_bridges))

    def each_now(of_a_bridge: str, of_bridges: str = "max") -> str:
        """The past of a bridge, under the id that it exposes now."""
        return each(f"0 * {usage} + on (job, instance, resource) group_left () ({of_a_bridge})", of_bridges)

    most = each_now(of_each(f"max_over_time({usage}[$__range])"))
    growth = each_now(f"7 * 86400 * deriv({of_each(usage)}{GROWTH_OVER})")
    reached_on = each_now(f"1000 * ({_reached()})", "min")
    days_left = each_now(f"(({_reached()}) - time()) / 86400", "min")
    return [
        t.rows(
            "Head room",
            [
                t.Column("name", "Platform"),
                t.Column("resource", "Limit of", mappings=p.titled(facts.LIMITS), width=115),
                t.Values(each(usage), "In use", unit=p.COUNT_UNIT, width=75),
                t.Values(each(limit), "Allowed", unit=p.COUNT_UNIT, width=85),
                t.Values(each(f"{limit} - {usage}"), "Left", unit=p.COUNT_UNIT, width=65),
                t.Values(most, "High-water mark", unit=p.COUNT_UNIT, width=135),
                t.Values(growth, "Growth per week", unit="short", width=140, decimals=1),
                t.Values(reached_on, "Reached on", unit=p.DAY_UNIT, width=110, no_value=NOT_IN_SIGHT),
                t.Values(days_left, "Days left", unit=p.COUNT_UNIT, width=90, decimals=0),
            ],
            facts.LICENSE_USAGE.help
            + " Left is negative where more is in use than a licence covers. The high-water mark is "
            "the most there was in the time range shown.",
            height=6,
        ),
        p.shares(
            facts.LICENSE_USAGE,
            Query(f"sort_desc(max by (resource) ({usage} / ({limit} > 0)))", "{{resource}}"),
            "Of several platforms, the fullest.",
            unit=p.SHARE_UNIT,
            height=10,
            steps=p.FULLNESS_STEPS,
            maximum=1,
            names=facts.LIMITS,
        ),
        p.note(
            "How to read this",
            _RULE,
            width=16,
            height=10,
            description="The rules by which FlowFuse enforces a licence.",
        ),
    ]


def _over_time() -> list[p.Panel]:
    return [_against_limit(resource) for resource in ("instances", "users", "teams", "mqtt_clients")]


def _against_limit(resource: str) -> p.Panel:
    """Usage, and the limit as a dashed line: of several platforms, the sums. Devices are shown with the instances."""
    with_devices = resource == "instances"
    matcher = f'resource=~"{"instances|devices" if with_devices else resource}"'
    of_what = "{{resource}} " if with_devices else ""
    named = "instances " if with_devices else ""
    limit = of(facts.LICENSE_LIMIT, matcher)
    limited = f"{of(facts.LICENSE_USAGE, matcher)} and on (job, instance, resource) {limit}"
    return p.graph(
        f"{facts.LIMITS[resource]} against the limit",
        [
            Query(f"sum by (resource) ({once(limited, 'resource')})", f"{of_what}in use"),
            Query(f"sum by (resource) ({once(limit, 'resource')})", f"{of_what}allowed"),
        ],
        facts.LICENSE_USAGE.help
        + " Of several platforms, the sums."
        + (" On combined licences, hosted instances and devices together." if with_devices else ""),
        axis=in_text(facts.LIMITS[resource]),
        colors={f"{named}in use": p.NEUTRAL, **({"devices in use": "purple"} if with_devices else {})},
        dashed={f"{named}allowed": p.WORST, **({"devices allowed": p.BAD} if with_devices else {})},
        empty="no such limit, or no answer from the database" if resource == "mqtt_clients" else "",
    )
