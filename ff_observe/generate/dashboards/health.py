"""FlowFuse / Health: what broke, what is online, and what would stop the platform, and when."""

from ff_observe.catalogue import audit, facts
from ff_observe.catalogue.model import Metric
from ff_observe.generate.dashboards import panels as p
from ff_observe.generate.dashboards import tables as t
from ff_observe.generate.dashboards.frame import Dashboard, framed
from ff_observe.generate.dashboards.queries import COUNT, each, increase, named, of, once, total, whole

_STATUS = {"online": p.GOOD, "offline": p.BAD, "not_seen": p.QUIET}
_EXPIRES = {
    "licence": facts.LICENSE_EXPIRY,
    "certificate": COUNT["sso_certificate_expiry_timestamp_seconds"],
    "token": COUNT["personal_access_token_expiry_timestamp_seconds"],
    "trial": COUNT["trial_end_timestamp_seconds"],
}
"""What ends by itself, by the word that the table has for it."""


def dashboard() -> Dashboard:
    return framed(
        "flowfuse-health",
        "What broke, what is online, and what would stop the platform, and when.",
        facts.UP,
        {
            "": _now(),
            "What broke": _broken(),
            "What is online": _online(),
            "What would stop it, and when": _ending(),
        },
        empty=p.NO_ANSWER,
    )


def _now() -> list[p.Panel]:
    status = COUNT["devices_by_status"]
    online = total(status, 'status="online"')
    failures, stages = audit.INSTANCE_FAILURES, COUNT["git_stages_by_status"]
    ends = " or ".join(_as(what, of(metric)) for what, metric in _EXPIRES.items() if what != "token")
    licence = _as("licence", of(facts.LICENSE_EXPIRY))
    return [
        p.answers(facts.HTTP_UP, "no answer", empty="not asked, or no bridge"),
        p.number(
            "Devices online",
            f"{online} / ({whole(status)} > 0)",
            status.help,
            unit=p.SHARE_UNIT,
            decimals=0,
            steps=p.SHARE_STEPS,
            empty="no devices, or no answer",
        ),
        p.number(
            "Failures",
            increase(failures, over="$__range"),
            failures.help + " In the time shown.",
            decimals=0,
            steps=[(None, p.GOOD), (1, p.MILD), (10, p.BAD)],
            empty=p.NOT_COUNTED,
        ),
        p.number(
            "Git stages in error",
            total(stages, 'status="error"'),
            stages.help,
            steps=[(None, p.GOOD), (1, p.BAD)],
            empty="no such stages, or no answer",
        ),
        p.number(
            "Next end",
            f"((min((({ends}) > time()) or {licence}) or min({ends})) - time()) / 86400",
            "How long until the licence, a certificate for SSO or a trial ends, whichever is first. An end that has "
            "passed is shown if it is the licence's, or if there is no other: FlowFuse goes on accepting an expired "
            "certificate.",
            unit=p.DAYS_UNIT,
            decimals=0,
            steps=p.DAYS_LEFT_STEPS,
            empty="nothing ends, or no answer",
        ),
        p.number(COUNT["notifications_unread"]),
    ]


def _as(what: str, vector: str) -> str:
    """With a label for the kind of end: without it, `or` would drop series of equal labels."""
    return f'label_replace({vector}, "what", "{what}", "", "")'


def _broken() -> list[p.Panel]:
    status = {"success": p.GOOD, "error": p.WORST, "pushing": p.NEUTRAL, "pulling": p.PALE, "none": p.QUIET}
    return [
        p.increases(audit.INSTANCE_FAILURES, empty=p.NOT_COUNTED),
        p.graph(COUNT["git_stages_by_status"], colors=status, stacked=True),
    ]


def _online() -> list[p.Panel]:
    return [
        p.values_over_time(COUNT["devices_by_status"], _STATUS, axis="devices"),
        *(
            p.shares(COUNT[name], width=4, empty="none, or no answer", long_names=True)
            for name in ("devices_by_state", "remote_brokers_by_state", "team_broker_agents_by_state")
        ),
    ]


def _ending() -> list[p.Panel]:
    def one_of(what: str, metric: Metric) -> str:
        return _as(what, named(once(of(metric), *metric.labels, of_bridges="min")))

    ends = " or ".join(one_of(what, metric) for what, metric in _EXPIRES.items())
    tokens = COUNT["personal_access_tokens_by_expiry"]
    return [
        t.rows(
            "What would stop it",
            [
                t.Column("name", "Platform"),
                t.Column("what", "What ends", mappings=p.titled({what: one.title for what, one in _EXPIRES.items()})),
                t.Column("provider", "Of"),
                t.Values(f"1000 * ({ends})", "On", unit=p.DAY_UNIT, width=130),
                t.Values(f"(({ends}) - time()) / 86400", "Days left", unit=p.COUNT_UNIT, width=100, decimals=0),
            ],
            "Licence, certificates of SSO providers, the next of the users' own tokens and the next trial. After "
            "expiry of the licence FlowFuse suspends what runs; SSO ends with a new one at the provider.",
            width=16,
            height=7,
            sort_by="Days left",
            empty="nothing ends, or no answer",
        ),
        p.shares(tokens, each(tokens), height=7),
    ]
