"""FlowFuse / Telemetry & privacy: what this installation sends, to whom, by which rule, and with what result."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import bridge
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.queries import Query, of
from ff_observe.outputs import OUTPUTS

EMPTY = "no data from a bridge"

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

CONTENTS: p.Mappings = {output.name: (output.content, None) for output in OUTPUTS}
RECEIVERS: p.Mappings = {output.name: (output.receiver, None) for output in OUTPUTS}
NAMES: p.Mappings = {output.name: (output.title, None) for output in OUTPUTS}

_OUTCOMES = {"delivered": p.GOOD, "captured": p.GOOD, "rejected": p.BAD, "dropped": p.BAD, "failed": p.WORST}


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-telemetry",
        "Is the core ping sent, which rule decides, and what else leaves this installation.",
        bridge.BUILD_INFO,
        [Row("", _ping()), Row("What leaves this installation", _outputs()), Row("Deliveries", _deliveries())],
    )


def _ping() -> list[p.Panel]:
    enabled = of(bridge.PING_ENABLED)
    return [
        p.number(
            bridge.PING_ENABLED.title,
            f"max({enabled})",
            bridge.PING_ENABLED.help,
            unit="short",
            mappings={"0": ("not sent", p.QUIET), "1": ("sent", p.NEUTRAL)},
            empty="not decided yet",
        ),
        p.word(
            "Deciding rule",
            f"max by (rule) ({enabled})",
            "rule",
            "The rule that decides whether the core ping is sent. `ff-observe ping why` says more.",
            mappings=RULES,
            empty="not decided yet",
        ),
        p.number(
            bridge.PING_LAST_SUCCESS.title,
            f"1000 * max(last_over_time({of(bridge.PING_LAST_SUCCESS)}[$__range]))",
            bridge.PING_LAST_SUCCESS.help,
            unit=p.AGO_UNIT,
            empty="none in this time",
        ),
        p.number(
            bridge.PING_NEXT.title,
            f"1000 * min({of(bridge.PING_NEXT)})",
            bridge.PING_NEXT.help,
            unit=p.AGO_UNIT,
            empty="none: it is not sent",
        ),
        p.number(
            bridge.PING_BYTES.title,
            f"sum(increase({of(bridge.PING_BYTES)}[$__range]))",
            bridge.PING_BYTES.help + " In the time range shown.",
            unit=p.BYTES_UNIT,
            decimals=1,
            empty=EMPTY,
        ),
        p.number(
            bridge.PING_OPT_OUT_IGNORED.title,
            f"max({of(bridge.PING_OPT_OUT_IGNORED)})",
            bridge.PING_OPT_OUT_IGNORED.help + " Only FF_TELEMETRY_DISABLED stops the ping of a licensed platform.",
            unit="short",
            mappings={"0": ("no", p.GOOD), "1": ("yes", p.BAD)},
            empty="not decided yet",
        ),
    ]


def _outputs() -> list[p.Panel]:
    enabled, delivered = (
        f"max by (output) ({of(metric)})" for metric in (bridge.OUTPUT_ENABLED, bridge.OUTPUT_DELIVERED)
    )
    return [
        t.rows(
            bridge.OUTPUT_ENABLED.title,
            [_described(enabled), _described(delivered)],
            [
                t.Column("output", "Output", mappings=NAMES, width=155),
                t.Column("Value #A", "State", mappings={"0": ("off", p.QUIET), "1": ("on", p.NEUTRAL)}, width=80),
                t.Column(
                    "Value #B",
                    bridge.OUTPUT_DELIVERED.title,
                    mappings={"0": ("failed", p.BAD), "1": ("arrived", p.GOOD)},
                    width=120,
                ),
                t.Column("content", "What is sent", mappings=CONTENTS),
                t.Column("receiver", "To whom", mappings=RECEIVERS),
            ],
            bridge.OUTPUT_ENABLED.help + " `ff-observe check` says why. PRIVACY.md names every field.",
            height=9,
            empty=EMPTY,
        ),
    ]


def _described(by_output: str) -> str:
    """The name of each output once more under two labels, which the table shows as what is sent and to whom."""
    content = f'label_replace({by_output}, "content", "$1", "output", "(.+)")'
    return f'label_replace({content}, "receiver", "$1", "output", "(.+)")'


def _deliveries() -> list[p.Panel]:
    return [
        _outcomes(bridge.PINGS, "pings", hours=3),
        p.graph(
            f"{bridge.OTLP_EXPORTS.title} by outcome",
            [Query(f"sum by (outcome) (60 * rate({of(bridge.OTLP_EXPORTS)}[$__rate_interval]))", "{{outcome}}")],
            bridge.OTLP_EXPORTS.help + " Per minute.",
            unit=p.PER_MINUTE_UNIT,
            axis="exports",
            width=8,
            colors={outcome: _OUTCOMES[outcome] for outcome in bridge.OTLP_EXPORTS.label_values},
            empty=EMPTY,
        ),
        _outcomes(bridge.SENTRY_EVENTS, "events"),
        p.graph(
            f"{bridge.SENTRY_SUPPRESSED.title} by reason",
            [Query(f"sum by (reason) (60 * rate({of(bridge.SENTRY_SUPPRESSED)}[$__rate_interval]))", "{{reason}}")],
            bridge.SENTRY_SUPPRESSED.help + " Per minute.",
            unit=p.PER_MINUTE_UNIT,
            axis="events",
            width=24,
            empty=EMPTY,
        ),
        p.graph(
            f"{bridge.PING_LEADER.title} by bridge",
            [Query(f"max by (instance) ({of(bridge.PING_LEADER)})", "{{instance}}")],
            f"{bridge.PING_LEADER.help} Of several bridges of one platform one is at 1.",
            unit=p.COUNT_UNIT,
            axis="sends",
            width=24,
            decimals=0,
            empty="not decided yet",
        ),
    ]


def _outcomes(counter: Metric, axis: str, hours: int = 1) -> p.Panel:
    """Bars of so many hours. Not of a day: Grafana shows whole steps only, so that today's ping would show tomorrow."""
    return p.graph(
        f"{counter.title} by outcome",
        [Query(f"round(sum by (outcome) (increase({of(counter)}[$__rate_interval])))", "{{outcome}}")],
        f"{counter.help} In steps of {'an hour' if hours == 1 else f'{hours} hours'} or longer.",
        unit=p.COUNT_UNIT,
        axis=axis,
        width=8,
        colors={outcome: _OUTCOMES[outcome] for outcome in counter.label_values},
        stacked=True,
        bars=True,
        decimals=0,
        interval=f"{hours}h",
        empty=EMPTY,
    )
