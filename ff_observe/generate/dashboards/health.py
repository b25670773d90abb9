"""FlowFuse / Health: what broke, what is online, and what would stop the platform, and when."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from ff_observe.catalogue import audit, facts
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Row, framed
from ff_observe.generate.dashboards.metric_panels import increases, shares_by, values_over_time
from ff_observe.generate.dashboards.queries import COUNT, Query, increase, named, of, once, total, total_by, whole

EMPTY = "no answer from the database"
NOT_COUNTED = "no answer from the database, or the audit log is being counted"

_STATUS = {"online": p.GOOD, "offline": p.BAD, "not_seen": p.QUIET}
_EXPIRES = {
    "licence": facts.LICENSE_EXPIRY,
    "certificate": COUNT["sso_certificate_expiry_timestamp_seconds"],
    "token": COUNT["personal_access_token_expiry_timestamp_seconds"],
    "trial": COUNT["trial_end_timestamp_seconds"],
}
"""What ends by itself, by the word that the table has for it."""


def dashboard() -> Dashboard:
    """The dashboard."""
    return framed(
        "flowfuse-health",
        "What broke, what is online, and what would stop the platform, and when.",
        facts.UP,
        [
            Row("", _now()),
            Row("What broke", _broken()),
            Row("What is online", _online()),
            Row("What would stop it, and when", _ending()),
        ],
    )


def _now() -> list[p.Panel]:
    status = COUNT["devices_by_status"]
    online = total(status, 'status="online"')
    failures = audit.INSTANCE_FAILURES
    ends = " or ".join(_as(what, of(metric)) for what, metric in _EXPIRES.items() if what != "token")
    return [
        p.number(
            facts.HTTP_UP.title,
            f"min({once(of(facts.HTTP_UP))})",
            facts.HTTP_UP.help + " Of several platforms, the worst.",
            unit="short",
            mappings={"0": ("no answer", p.WORST), "1": ("answers", p.GOOD)},
            empty="not asked, or no bridge",
        ),
        p.number(
            "Devices online",
            f"{online} / ({whole(status)} > 0)",
            status.help,
            unit=p.SHARE_UNIT,
            decimals=0,
            steps=[(None, p.WORST), (0.5, p.BAD), (0.7, p.MILD), (0.9, p.GOOD)],
            empty="no devices, or no answer",
        ),
        p.number(
            "Failures",
            increase(failures, over="$__range"),
            failures.help + " In the time shown.",
            unit=p.COUNT_UNIT,
            decimals=0,
            steps=[(None, p.GOOD), (1, p.MILD), (10, p.BAD)],
            empty=NOT_COUNTED,
        ),
        p.number(
            "Git stages in error",
            total(COUNT["git_stages_by_status"], 'status="error"'),
            COUNT["git_stages_by_status"].help,
            unit=p.COUNT_UNIT,
            steps=[(None, p.GOOD), (1, p.BAD)],
            empty="no such stages, or no answer",
        ),
        p.number(
            "Next end",
            f"(min({ends}) - time()) / 86400",
            "How long until the licence, a certificate for SSO or a trial ends, whichever is first.",
            unit=p.DAYS_UNIT,
            decimals=0,
            steps=[(None, p.WORST), (7, p.BAD), (30, p.MILD), (60, p.GOOD)],
            empty="nothing ends, or no answer",
        ),
        p.number(
            COUNT["notifications_unread"].title,
            total(COUNT["notifications_unread"]),
            COUNT["notifications_unread"].help,
            unit=p.COUNT_UNIT,
            empty=EMPTY,
        ),
    ]


def _as(what: str, vector: str) -> str:
    """With a label for the kind of end: without it, `or` would drop series of equal labels."""
    return f'label_replace({vector}, "what", "{what}", "", "")'


def _broken() -> list[p.Panel]:
    return [
        increases(audit.INSTANCE_FAILURES, p.WORST, empty=NOT_COUNTED),
        p.graph(
            COUNT["git_stages_by_status"].title,
            [Query(total_by(COUNT["git_stages_by_status"], "status"), "{{status}}")],
            COUNT["git_stages_by_status"].help,
            unit=p.COUNT_UNIT,
            colors={"success": p.GOOD, "error": p.WORST, "pushing": p.NEUTRAL, "pulling": p.PALE, "none": p.QUIET},
            stacked=True,
            decimals=0,
            empty=EMPTY,
        ),
    ]


def _online() -> list[p.Panel]:
    return [
        values_over_time(COUNT["devices_by_status"], _STATUS, axis="devices", empty=EMPTY),
        *(
            shares_by(COUNT[name], "state", width=4, empty="none, or no answer")
            for name in ("devices_by_state", "remote_brokers_by_state", "team_broker_agents_by_state")
        ),
    ]


def _ending() -> list[p.Panel]:
    def each(what: str, metric: Metric) -> str:
        labels = metric.labels
        return _as(what, named(once(of(metric), *labels, of_bridges="min")))

    ends = " or ".join(each(what, metric) for what, metric in _EXPIRES.items())
    return [
        t.rows(
            "What would stop it",
            [f"1000 * ({ends})", f"(({ends}) - time()) / 86400"],
            [
                t.Column("name", "Platform"),
                t.Column("what", "What ends", mappings=p.titled({what: one.title for what, one in _EXPIRES.items()})),
                t.Column("provider", "Of"),
                t.Column("Value #A", "On", unit=p.DAY_UNIT, width=130),
                t.Column("Value #B", "Days left", unit=p.COUNT_UNIT, width=100, decimals=0),
            ],
            "Licence, certificates of SSO providers, the next of the users' own tokens and the next trial. After "
            "expiry of the licence FlowFuse suspends what runs; SSO ends with a new one at the provider.",
            width=16,
            height=7,
            sort_by="Days left",
            empty="nothing ends, or no answer",
        ),
        p.shares(
            COUNT["personal_access_tokens_by_expiry"].title,
            Query(total_by(COUNT["personal_access_tokens_by_expiry"], "expiry"), "{{expiry}}"),
            COUNT["personal_access_tokens_by_expiry"].help,
            unit=p.COUNT_UNIT,
            height=7,
            empty=EMPTY,
        ),
    ]
