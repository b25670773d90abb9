"""FlowFuse / Telemetry & privacy: what this installation sends, to whom, by which rule, and with what result."""

from ff_observe.catalogue import bridge
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import Query, events, of, per_minute
from ff_observe.outputs import OUTPUTS

RULES: p.Mappings = {
    "ff_telemetry_disabled": ("FF_TELEMETRY_DISABLED", None),
    "housekeeper_off": ("housekeeper: false", None),
    "database_unknown": ("database does not answer", None),
    "not_initialised": ("set-up not completed", None),
    "licensed": ("a licence is loaded", None),
    "file": ("telemetry.enabled: false", None),
    "admin_setting": ("administrators' setting", None),
    "do_not_track": ("DO_NOT_TRACK is set", None),
    "no_objection": ("no opt-out is set", None),
    "another_bridge": ("another bridge sends it", None),
    "sender_never": ("telemetry.ping.sender: never", None),
    "election_unknown": ("no bridge can be elected", None),
}
"""The rules of consent, in words."""

SEVERAL = "several"

CONTENTS: p.Mappings = {output.name: (output.content, None) for output in OUTPUTS}
RECEIVERS: p.Mappings = {output.name: (output.receiver, None) for output in OUTPUTS}
NAMES: p.Mappings = {output.name: (output.title, None) for output in OUTPUTS}

_OUTCOMES = {"delivered": p.GOOD, "captured": p.GOOD, "rejected": p.BAD, "dropped": p.BAD, "failed": p.WORST}


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-telemetry",
        "Is the core ping sent, which rule decides, and what else leaves this installation.",
        bridge.BUILD_INFO,
        {"": _ping(), "What leaves this installation": _outputs(), "Deliveries": _deliveries()},
        empty=p.NO_BRIDGE,
    )


def _ping() -> list[p.Panel]:
    enabled = of(bridge.PING_ENABLED)
    by_rule = f"max by (rule) ({enabled})"
    rules = f"count({by_rule})"  # the panel has room for three
    more = f'label_replace({rules} > 3, "rule", "{SEVERAL}", "", "")'
    return [
        p.number(
            bridge.PING_ENABLED,
            f"max({enabled})",
            mappings={"0": ("not sent", p.QUIET), "1": ("sent", p.NEUTRAL)},
            empty="not decided yet",
        ),
        p.word(
            "Deciding rule",
            f"({by_rule} and on () ({rules} <= 3)) or {more}",
            "rule",
            "The rule that decides whether the core ping is sent. `ff-observe ping why` says more. Of more than three "
            "rules none is named: choose platforms above.",
            mappings={**RULES, SEVERAL: ("more than three", None)},
            empty="not decided yet",
        ),
        p.number(
            bridge.PING_LAST_SUCCESS,
            f"1000 * max(last_over_time({of(bridge.PING_LAST_SUCCESS)}[$__range]))",
            unit=p.AGO_UNIT,
            empty="none in this time",
        ),
        p.number(
            bridge.PING_NEXT,
            f"1000 * min({of(bridge.PING_NEXT)})",
            unit=p.AGO_UNIT,
            empty="none: it is not sent",
        ),
        p.number(
            bridge.PING_BYTES,
            f"sum(increase({of(bridge.PING_BYTES)}[$__range]))",
            "In the time range shown.",
            unit=p.BYTES_UNIT,
            decimals=1,
        ),
        p.number(
            bridge.PING_OPT_OUT_IGNORED,
            f"max({of(bridge.PING_OPT_OUT_IGNORED)})",
            "Only FF_TELEMETRY_DISABLED stops the ping of a licensed platform.",
            mappings={"0": ("no", p.GOOD), "1": ("yes", p.BAD)},
            empty="not decided yet",
        ),
    ]


def _outputs() -> list[p.Panel]:
    """The name of each output stands under two more labels, which the table shows as what is sent and to whom."""

    def described(metric: Metric) -> str:
        content = f'label_replace(max by (output) ({of(metric)}), "content", "$1", "output", "(.+)")'
        return f'label_replace({content}, "receiver", "$1", "output", "(.+)")'

    return [
        t.rows(
            bridge.OUTPUT_ENABLED,
            [
                t.Column("output", "Output", mappings=NAMES, width=155),
                t.Values(
                    described(bridge.OUTPUT_ENABLED),
                    "State",
                    mappings={"0": ("off", p.QUIET), "1": ("on", p.NEUTRAL)},
                    width=80,
                ),
                t.Values(
                    described(bridge.OUTPUT_DELIVERED),
                    bridge.OUTPUT_DELIVERED.title,
                    mappings={"0": ("failed", p.BAD), "1": ("arrived", p.GOOD)},
                    width=120,
                ),
                t.Column("content", "What is sent", mappings=CONTENTS, wraps=True),
                t.Column("receiver", "To whom", mappings=RECEIVERS, width=270, wraps=True),
            ],
            "`ff-observe check` says why. PRIVACY.md names every field.",
            height=12,
        ),
    ]


def _deliveries() -> list[p.Panel]:
    return [
        _outcomes(bridge.PINGS, "pings", hours=3),
        p.graph(
            f"{bridge.OTLP_EXPORTS.title} by outcome",
            [per_minute(bridge.OTLP_EXPORTS, "outcome")],
            bridge.OTLP_EXPORTS.help + " Per minute.",
            unit=p.PER_MINUTE_UNIT,
            axis="exports",
            width=8,
            colors={outcome: _OUTCOMES[outcome] for outcome in bridge.OTLP_EXPORTS.label_values},
        ),
        _outcomes(bridge.SENTRY_EVENTS, "events"),
        p.graph(
            f"{bridge.SENTRY_SUPPRESSED.title} by reason",
            [per_minute(bridge.SENTRY_SUPPRESSED, "reason")],
            bridge.SENTRY_SUPPRESSED.help + " Per minute.",
            unit=p.PER_MINUTE_UNIT,
            axis="events",
            width=24,
            shades=p.CLASSIC,
        ),
        p.graph(
            f"{bridge.PING_LEADER.title} by bridge",
            [Query(f"max by (instance) ({of(bridge.PING_LEADER)})", "{{instance}}")],
            f"{bridge.PING_LEADER.help} Of several bridges of one platform one is at 1.",
            axis="sends",
            width=24,
            shades=p.CLASSIC,
            empty="not decided yet",
        ),
    ]


def _outcomes(counter: Metric, axis: str, hours: int = 1) -> p.Panel:
    """Bars of so many hours. Not of a day: Grafana shows whole steps only, so that today's ping would show tomorrow."""
    return p.graph(
        f"{counter.title} by outcome",
        [events(counter, "outcome")],
        f"{counter.help} In steps of {'an hour' if hours == 1 else f'{hours} hours'} or longer.",
        axis=axis,
        width=8,
        colors={outcome: _OUTCOMES[outcome] for outcome in counter.label_values},
        bars=True,
        interval=f"{hours}h",
    )
