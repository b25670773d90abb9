"""FlowFuse / Telemetry & privacy: what this installation sends to whom, by which rule, and what became of it."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import bridge
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.queries import Query, of

EMPTY = "no bridge tells of itself"

RULES: p.Told = {
    "ff_telemetry_disabled": ("FF_TELEMETRY_DISABLED", None),
    "housekeeper_off": ("housekeeper: false", None),
    "database_unknown": ("database does not answer", None),
    "not_initialised": ("set-up not completed", None),
    "licensed": ("a licence is loaded", None),
    "file": ("telemetry.enabled: false", None),
    "admin_setting": ("administrators' setting", None),
    "do_not_track": ("DO_NOT_TRACK is set", None),
    "no_objection": ("nobody objects", None),
}
"""The rules of consent, in words."""

CONTENTS: p.Told = {
    "ping": ("counts and versions, once a day; no names, no addresses", None),
    "prometheus": ("the counts of these dashboards, when asked", None),
    "backend_sentry": ("errors of the bridge, scrubbed of secrets", None),
    "otlp": ("the same counts; traces and logs of the bridge", None),
    "frontend_posthog": ("what visitors of FlowFuse's pages do", None),
    "frontend_sentry": ("errors in visitors' browsers", None),
    "frontend_plausible": ("page views, without cookies", None),
}
RECEIVERS: p.Told = {
    "ping": ("FlowFuse Inc., or telemetry.url", None),
    "prometheus": ("your Prometheus, which asks for it", None),
    "backend_sentry": ("the Sentry of your dsn", None),
    "otlp": ("the collector of your endpoint", None),
    "frontend_posthog": ("the PostHog of your apiurl", None),
    "frontend_sentry": ("the Sentry of your dsn", None),
    "frontend_plausible": ("Plausible, for your domain", None),
}
NAMES: p.Told = {name: (name.replace("_", " "), None) for name in CONTENTS}
"""The outputs of the bridge: their names, what they send, and to whom."""

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
            "Core ping",
            f"max({enabled})",
            bridge.PING_ENABLED.help,
            unit="short",
            told={"0": ("not sent", p.QUIET), "1": ("sent", p.NEUTRAL)},
            empty="not decided yet",
        ),
        p.word(
            "Deciding rule",
            f"max by (rule) ({enabled})",
            "rule",
            "The rule that decides whether the core ping is sent. `ff-observe ping why` says more.",
            told=RULES,
            empty="not decided yet",
        ),
        p.number(
            "Last delivered",
            f"1000 * max(last_over_time({of(bridge.PING_LAST_SUCCESS)}[$__range]))",
            bridge.PING_LAST_SUCCESS.help,
            unit=p.AGO_UNIT,
            empty="none in this time",
        ),
        p.number(
            "Next due",
            f"1000 * min({of(bridge.PING_NEXT)})",
            bridge.PING_NEXT.help,
            unit=p.AGO_UNIT,
            empty="none: it is not sent",
        ),
        p.number(
            "Bytes delivered",
            f"sum(increase({of(bridge.PING_BYTES)}[$__range]))",
            bridge.PING_BYTES.help + " In the time range shown.",
            unit=p.BYTES_UNIT,
            decimals=1,
            empty=EMPTY,
        ),
        p.number(
            "Opt-out ignored",
            f"max({of(bridge.PING_OPT_OUT_IGNORED)})",
            bridge.PING_OPT_OUT_IGNORED.help + " Only FF_TELEMETRY_DISABLED stops the ping of a licensed platform.",
            unit="short",
            told={"0": ("no", p.GOOD), "1": ("yes", p.BAD)},
            empty="not decided yet",
        ),
    ]


def _outputs() -> list[p.Panel]:
    enabled = f"max by (output) ({of(bridge.OUTPUT_ENABLED)})"
    content = f'label_replace({enabled}, "content", "$1", "output", "(.+)")'
    return [
        t.rows(
            "Outputs",
            [f'label_replace({content}, "receiver", "$1", "output", "(.+)")'],
            [
                t.Column("output", "Output", told=NAMES, width=155),
                t.Column("Value #A", "State", told={"0": ("off", p.QUIET), "1": ("on", p.NEUTRAL)}, width=80),
                t.Column("content", "What is sent", told=CONTENTS),
                t.Column("receiver", "To whom", told=RECEIVERS),
            ],
            bridge.OUTPUT_ENABLED.help + " `ff-observe check` says why. PRIVACY.md names every field.",
            height=9,
            empty=EMPTY,
        ),
    ]


def _deliveries() -> list[p.Panel]:
    return [
        _outcomes("Pings", bridge.PINGS, "pings", hours=3),
        p.graph(
            "OTLP exports by outcome",
            [Query(f"sum by (outcome) (60 * rate({of(bridge.OTLP_EXPORTS)}[$__rate_interval]))", "{{outcome}}")],
            bridge.OTLP_EXPORTS.help + " Per minute.",
            unit=p.PER_MINUTE_UNIT,
            axis="exports",
            width=8,
            colors={outcome: _OUTCOMES[outcome] for outcome in bridge.OTLP_EXPORTS.label_values},
            empty=EMPTY,
        ),
        _outcomes("Sentry events", bridge.SENTRY_EVENTS, "events"),
    ]


def _outcomes(title: str, counter: Metric, axis: str, hours: int = 1) -> p.Panel:
    """Bars of so many hours. Not of a day: Grafana shows whole steps only, so that today's ping would show tomorrow."""
    return p.graph(
        f"{title} by outcome",
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
