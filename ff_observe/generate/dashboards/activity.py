"""FlowFuse / Activity: who changes things, people or machines, and who signs in."""

from ff_observe.catalogue import audit, facts
from ff_observe.catalogue.model import in_text
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import COUNT, Query, increase, of, once, total

_ACTIVE = COUNT["users_active"]


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-activity",
        "Changes by people, API, AI and pipelines, and the failures that follow; sign-ins and active users.",
        facts.UP,
        {"": _now(), "Changes": _changes(), "People": _people()},
        empty=p.NO_ANSWER,
    )


def _active(window: str) -> str:
    return total(_ACTIVE, f'window="{window}"')


def _now() -> list[p.Panel]:
    return [
        *(
            p.number(f"Active, {in_text(title)}", _active(window), _ACTIVE.help)
            for window, title in _ACTIVE.value_titles.items()
        ),
        p.number(COUNT["sessions"]),
        p.number(
            "Failed sign-ins",
            increase(audit.SIGN_INS, 'outcome!="success"', over="$__range"),
            audit.SIGN_INS.help + " In the time shown.",
            decimals=0,
            empty=p.NOT_COUNTED,
        ),
        p.number(COUNT["device_editor_tunnels"]),
    ]


def _changes() -> list[p.Panel]:
    deployments, failures = audit.DEPLOYMENTS, audit.INSTANCE_FAILURES
    events = once(f"increase({of(audit.AUDIT_EVENTS)}[$__rate_interval])", "event", "source")
    return [
        p.increases(deployments, empty=p.NOT_COUNTED),
        p.graph(
            "Deployments and failures",
            [Query(increase(counter), in_text(counter.title)) for counter in (deployments, failures)],
            "Deployments of every kind beside the failures of instances: what follows a change stands to its right.",
            colors={in_text(deployments.title): p.NEUTRAL, in_text(failures.title): p.WORST},
            interval="1h",
            empty=p.NOT_COUNTED,
        ),
        p.graph(
            "Changes by source",
            [Query(f"sum by (source) ({events}) > 0", "{{source}}")],
            audit.AUDIT_EVENTS.help,
            colors={"none": p.NEUTRAL, "api": "purple", "mcp": p.MILD, "mcp:expert": p.BAD, "other": p.QUIET},
            bars=True,
            interval="1h",
            empty=p.NOT_COUNTED,
        ),
        p.graph(
            audit.AUDIT_EVENTS,
            [Query(f"topk(8, sum by (event) ({events})) > 0", "{{event}}")],
            shades=p.CLASSIC,
            interval="1h",
            empty=p.NOT_COUNTED,
        ),
    ]


def _people() -> list[p.Panel]:
    return [
        p.increases(audit.SIGN_INS, empty=p.NOT_COUNTED),
        p.graph(
            _ACTIVE,
            [Query(_active(window), in_text(title)) for window, title in _ACTIVE.value_titles.items()],
            axis="users",
            colors={
                in_text(title): color
                for title, color in zip(_ACTIVE.value_titles.values(), (p.NEUTRAL, "purple", p.PALE), strict=True)
            },
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
        ),
        p.shares(COUNT["memberships_by_role"], width=6),
        p.counts(COUNT["sessions"].title, {COUNT["sessions"]: p.NEUTRAL}, width=6),
    ]
