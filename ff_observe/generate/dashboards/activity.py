"""FlowFuse / Activity: who changes things, people or machines, and who signs in."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import audit, facts
from ff_observe.catalogue.model import in_text
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.health import EMPTY, NOT_COUNTED
from ff_observe.generate.dashboards.metric_panels import increases, shares_by
from ff_observe.generate.dashboards.queries import COUNT, Query, increase, of, once, total


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-activity",
        "Changes by people, API, AI and pipelines, and the failures that follow; sign-ins and active users.",
        facts.UP,
        [Row("", _now()), Row("Changes", _changes()), Row("People", _people())],
    )


def _now() -> list[p.Panel]:
    active, sign_ins = COUNT["users_active"], audit.SIGN_INS
    return [
        *(
            p.number(
                f"Active, {in_text(title)}",
                total(active, f'window="{window}"'),
                active.help,
                unit=p.COUNT_UNIT,
                empty=EMPTY,
            )
            for window, title in active.value_titles.items()
        ),
        p.number(
            COUNT["sessions"].title, total(COUNT["sessions"]), COUNT["sessions"].help, unit=p.COUNT_UNIT, empty=EMPTY
        ),
        p.number(
            "Failed sign-ins",
            increase(sign_ins, 'outcome!="success"', over="$__range"),
            sign_ins.help + " In the time shown.",
            unit=p.COUNT_UNIT,
            decimals=0,
            empty=NOT_COUNTED,
        ),
        p.number(
            COUNT["device_editor_tunnels"].title,
            total(COUNT["device_editor_tunnels"]),
            COUNT["device_editor_tunnels"].help,
            unit=p.COUNT_UNIT,
            empty=EMPTY,
        ),
    ]


def _changes() -> list[p.Panel]:
    deployments, failures = audit.DEPLOYMENTS, audit.INSTANCE_FAILURES
    return [
        increases(deployments, p.NEUTRAL, empty=NOT_COUNTED),
        p.graph(
            "Deployments and failures",
            [
                Query(increase(deployments), in_text(deployments.title)),
                Query(increase(failures), in_text(failures.title)),
            ],
            "Deployments of every kind beside the failures of instances: what follows a change stands to its right.",
            unit=p.COUNT_UNIT,
            colors={in_text(deployments.title): p.NEUTRAL, in_text(failures.title): p.WORST},
            decimals=0,
            interval="1h",
            empty=NOT_COUNTED,
        ),
        p.graph(
            "Changes by source",
            [Query(f"sum by (source) ({_events()}) > 0", "{{source}}")],
            audit.AUDIT_EVENTS.help,
            unit=p.COUNT_UNIT,
            colors={"none": p.NEUTRAL, "api": "purple", "mcp": p.MILD, "mcp:expert": p.BAD, "other": p.QUIET},
            stacked=True,
            bars=True,
            decimals=0,
            interval="1h",
            empty=NOT_COUNTED,
        ),
        p.graph(
            audit.AUDIT_EVENTS.title,
            [Query(f"topk(8, sum by (event) ({_events()})) > 0", "{{event}}")],
            audit.AUDIT_EVENTS.help,
            unit=p.COUNT_UNIT,
            shades=p.NEUTRAL,
            decimals=0,
            interval="1h",
            empty=NOT_COUNTED,
        ),
    ]


def _events() -> str:
    return once(f"increase({of(audit.AUDIT_EVENTS)}[$__rate_interval])", "event", "source")


def _people() -> list[p.Panel]:
    active = COUNT["users_active"]
    return [
        increases(audit.SIGN_INS, p.NEUTRAL, empty=NOT_COUNTED),
        p.graph(
            active.title,
            [
                Query(total(active, f'window="{window}"'), in_text(title))
                for window, title in active.value_titles.items()
            ],
            active.help,
            unit=p.COUNT_UNIT,
            axis="users",
            shades=p.NEUTRAL,
            decimals=0,
            empty=EMPTY,
        ),
        p.counts(
            "Users and sign-in",
            {
                COUNT["users"]: p.NEUTRAL,
                COUNT["users_with_mfa"]: p.GOOD,
                COUNT["users_with_sso"]: "purple",
                COUNT["users_suspended"]: p.QUIET,
                COUNT["users_unverified"]: p.MILD,
            },
            axis="users",
            empty=EMPTY,
        ),
        shares_by(COUNT["memberships_by_role"], "role", width=6, empty=EMPTY),
        p.counts(COUNT["sessions"].title, {COUNT["sessions"]: p.NEUTRAL}, width=6, empty=EMPTY),
    ]
