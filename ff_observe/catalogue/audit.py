"""The counters from FlowFuse's own audit log: which events are distinguished, and what is derived from them.

Instances and devices post events of any name, so the names are an allow-list; every other event counts as `other`.
Sources: FlowFuse forge/auditLog (what the platform writes), forge/routes/logging and nr-auditlogger (what instances and
devices post), frontend/src/data/audit-events.json (names of earlier versions).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ff_observe.catalogue.model import NO_VALUE, Kind, Metric


def _names(prefix: str, names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names.split())


EVENTS: frozenset[str] = frozenset(
    (
        *_names(
            "account",
            "change-email-confirmed change-email-request forgot-password login logout register reset-password"
            " verify.auto-create-application verify.auto-create-instance verify.auto-create-team verify.request-token"
            " verify.verify-token",
        ),
        *_names(
            "application",
            "created deleted updated device.assigned device.unassigned device.snapshot.created"
            " device.snapshot.deleted device.snapshot.device-target-set device.snapshot.exported"
            " device.snapshot.imported device.snapshot.updated deviceGroup.created deviceGroup.deleted"
            " deviceGroup.members.changed deviceGroup.settings.updated deviceGroup.updated pipeline.created"
            " pipeline.deleted pipeline.stage-added pipeline.stage-deployed pipeline.updated",
        ),
        *_names(
            "billing",
            "session.completed session.created subscription.credit-applied subscription.deleted subscription.updated",
        ),
        *_names(
            "device",
            "assigned credential.generated developer-mode.disabled developer-mode.enabled httpToken.created"
            " httpToken.deleted httpToken.updated pipeline.deployed project.deployed remote-access.disabled"
            " remote-access.enabled restart-failed restarted settings.updated snapshot.created snapshot.deployed"
            " snapshot.target-set start-failed started suspend-failed suspended unassigned",
        ),
        *_names(
            "platform",
            "licence.apply licence.inspect license.applied license.expired license.inspected license.overage"
            " project-type.created project-type.deleted project-type.updated settings.update settings.updated"
            " stack.created stack.deleted stack.updated team.created team.deleted team.suspended team.unsuspended",
        ),
        *_names(
            "project",
            "assigned-to-pipeline-stage copied created deleted device.assigned device.snapshot.created"
            " device.unassigned duplicated flow-imported httpToken.created httpToken.deleted httpToken.updated"
            " imported protected restarted settings.updated snapshot.created snapshot.deleted"
            " snapshot.device-target-set snapshot.deviceTarget snapshot.exported snapshot.imported"
            " snapshot.rollback snapshot.rolled-back snapshot.updated stack.changed stack.restart start-failed started"
            " stopped suspended type.changed unprotected",
        ),
        *_names(
            "team",
            "created deleted suspended unsuspended database.created database.deleted database.table.created"
            " database.table.deleted device.assigned device.bulk-deleted device.created device.credentials-generated"
            " device.credentialsGenerated device.deleted device.developer-mode.disabled"
            " device.developer-mode.enabled device.provisioning.created device.provisioning.deleted"
            " device.provisioning.updated device.remote-access.disabled device.remote-access.enabled"
            " device.unassigned device.updated package.published package.unpublished settings.updated type.changed"
            " user.added user.invite-resent user.invite.accepted user.invite.rejected user.invited user.removed"
            " user.role-changed user.uninvited",
        ),
        *_names(
            "user",
            "added created-user deleted invitation.accepted invitation.deleted invitations.accept-invite"
            " invitations.delete-invite invite.accept invite.delete invited pat.created pat.deleted pat.updated"
            " removed roleChanged uninvited updated-password updated-user",
        ),
        *_names("users", "auto-created-team created-user deleted-user updated-user"),
        *_names("auth", "login login.revoke logout"),
        # What Node-RED instances and devices post.
        *("api.error", "comms.auth.fail", "context.delete", "crashed", "flows.reloaded", "flows.set", "library.set"),
        *("modules.install", "nodes.install", "nodes.remove", "resource.cpu", "resource.memory", "safe-mode"),
        *("settings.update", "started", "stopped"),
    )
)
"""The events that are counted by name."""

SOURCES: tuple[str, ...] = ("api", "mcp", "mcp:expert")
"""The values of the column `source` that are counted by name (FlowFuse 2.33: forge/routes/auth, migration 20260714-01).
"""

DEVICE = "device"
"""The value of the column `entityType` for what happened to a device."""


class Event(NamedTuple):
    """Everything that is read of a row: name and source as the allow-lists have them, whether it concerns a device, and
    whether its body reports an error (read for `FALLIBLE` events only)."""

    event: str
    source: str = NO_VALUE
    device: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """The events that count under one label value of a derived counter; None where both are meant. With `by_source`,
    the event's source determines the value, and `value` is for sources that are not listed."""

    value: str
    events: tuple[str, ...]
    device: bool | None = None
    failed: bool | None = None
    by_source: Mapping[str, str] = field(default_factory=dict, hash=False)

    def value_of(self, event: Event) -> str | None:
        """The label value under which `event` counts; None if it does not count."""
        if event.event not in self.events:
            return None
        if self.device not in (None, event.device) or self.failed not in (None, event.failed):
            return None
        return self.by_source.get(event.source, self.value)


@dataclass(frozen=True, slots=True)
class Derived(Metric):
    """A counter of events by meaning. An event counts under the first rule that matches."""

    rules: tuple[Rule, ...] = ()


AUDIT_EVENTS = Metric(
    "flowfuse_audit_events_total",
    "Audit events",
    "Entries of FlowFuse's audit log since its first, by event and by what caused them: `api` (an access token), "
    "`mcp:expert` (FlowFuse's own agent), `mcp` (other agents), `none` where FlowFuse records no source: the web "
    "app, instances, devices, FlowFuse itself, and every entry before 2.33. Names that FlowFuse does not know are "
    "`other`. FlowFuse enters some events for an instance and again for its team. Absent while the log is counted "
    "for the first time.",
    "{event}",
    ("event", "source"),
    Kind.COUNTER,
)
INSTANCE_FAILURES = Derived(
    "flowfuse_instance_failures_total",
    "Failures of hosted instances",
    "Failures of hosted instances in FlowFuse's audit log since its first entry: Node-RED crashed, was put into safe "
    "mode, could not be started, or used more CPU or memory than FlowFuse warns of.",
    "{failure}",
    ("kind",),
    Kind.COUNTER,
    ("crashed", "safe_mode", "start_failed", "cpu", "memory"),
    {
        "crashed": "Crashed",
        "safe_mode": "Safe mode",
        "start_failed": "Start failed",
        "cpu": "High CPU usage",
        "memory": "High memory usage",
    },
    rules=(
        Rule("crashed", ("crashed",), device=False),
        Rule("safe_mode", ("safe-mode",), device=False),
        Rule("start_failed", ("project.start-failed",), device=False),
        Rule("start_failed", ("project.started", "project.restarted"), device=False, failed=True),
        Rule("cpu", ("resource.cpu",), device=False),
        Rule("memory", ("resource.memory",), device=False),
    ),
)
DEVICE_FAILURES = Derived(
    "flowfuse_device_failures_total",
    "Failures of devices",
    "Failures of devices in FlowFuse's audit log since its first entry: Node-RED crashed, was put into safe mode, or "
    "could not be started, restarted or suspended.",
    "{failure}",
    ("kind",),
    Kind.COUNTER,
    ("crashed", "safe_mode", "start_failed"),
    {"crashed": "Crashed", "safe_mode": "Safe mode", "start_failed": "Start or stop failed"},
    rules=(
        Rule("crashed", ("crashed",), device=True),
        Rule("safe_mode", ("safe-mode",), device=True),
        Rule("start_failed", ("device.start-failed", "device.restart-failed", "device.suspend-failed"), device=True),
    ),
)
_BY_SOURCE = {"api": "api", "mcp": "ai", "mcp:expert": "ai"}
DEPLOYMENTS = Derived(
    "flowfuse_deployments_total",
    "Deployments",
    "Deployments in FlowFuse's audit log since its first entry: flows deployed in the Node-RED editor, snapshots "
    "restored or rolled out to devices, and stages of pipelines. By who caused them: `people`, `api` (an access "
    "token), `ai` (an agent) or `pipeline`. Before 2.33 FlowFuse does not record the source: all but pipelines are "
    "`people` there.",
    "{deployment}",
    ("by",),
    Kind.COUNTER,
    ("people", "api", "ai", "pipeline"),
    {"people": "People", "api": "API", "ai": "AI agents", "pipeline": "Pipelines"},
    rules=(
        Rule("pipeline", ("application.pipeline.stage-deployed",), failed=False),
        Rule(
            "people",
            (
                *("flows.set", "device.snapshot.deployed", "project.snapshot.rolled-back", "project.snapshot.rollback"),
                *("project.snapshot.device-target-set", "project.snapshot.deviceTarget"),
            ),
            failed=False,
            by_source=_BY_SOURCE,
        ),
    ),
)
SIGN_INS = Derived(
    "flowfuse_sign_ins_total",
    "Sign-ins",
    "Sign-ins to the platform in FlowFuse's audit log since its first entry, by outcome. FlowFuse does not record a "
    "sign-in with a second factor, nor a wrong one.",
    "{attempt}",
    ("outcome",),
    Kind.COUNTER,
    ("success", "failure"),
    {"success": "Succeeded", "failure": "Failed"},
    rules=(
        Rule("success", ("account.login",), failed=False),
        Rule("failure", ("account.login",), failed=True),
    ),
)

DERIVED: tuple[Derived, ...] = (INSTANCE_FAILURES, DEVICE_FAILURES, DEPLOYMENTS, SIGN_INS)

AUDIT: tuple[Metric, ...] = (AUDIT_EVENTS, *DERIVED)
"""Every counter from the audit log."""

FALLIBLE: frozenset[str] = frozenset(
    event for metric in DERIVED for rule in metric.rules if rule.failed is not None for event in rule.events
)
"""The events whose body is read to see whether it reports an error."""


def derive(counted: Iterable[tuple[Event, int]]) -> dict[str, Counter[tuple[str, ...]]]:
    """The readings of `AUDIT` for these numbers of events. Derived counters have every label value, also at 0."""
    readings: dict[str, Counter[tuple[str, ...]]] = {metric.name: Counter() for metric in AUDIT}
    for metric in AUDIT:
        readings[metric.name].update(dict.fromkeys(((value,) for value in metric.label_values), 0))
    for event, number in counted:
        readings[AUDIT_EVENTS.name][event.event, event.source] += number
        for metric in DERIVED:
            value = value_of(metric, event)
            if value is not None:
                readings[metric.name][value,] += number
    return readings


def value_of(metric: Derived, event: Event) -> str | None:
    """The label value of `metric` under which `event` counts; None if it does not count."""
    return next((value for rule in metric.rules if (value := rule.value_of(event)) is not None), None)
