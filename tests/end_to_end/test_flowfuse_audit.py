"""A real FlowFuse is used through its HTTP API, and the counters move by exactly what was done."""

import contextlib
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ff_observe.catalogue import AUDIT
from ff_observe.platform.sources.sqlite_process import GuardedSQLiteSource
from tests.end_to_end.test_command_line import ff_observe
from tests.real_parts import flowfuse
from tests.real_parts.processes import wait_until
from tests.unit.audit.logs import counters
from tests.unit.platform.scripted_source import StandingClock

EVENTS, SIGN_INS = "flowfuse_audit_events_total", "flowfuse_sign_ins_total"
DEPLOYMENTS, FAILURES = "flowfuse_deployments_total", "flowfuse_instance_failures_total"
DEVICE_FAILURES = "flowfuse_device_failures_total"

Moved = Counter[tuple[str, ...]]


def events(*names: str) -> Moved:
    return Counter((EVENTS, name, "none") for name in names)


def test_the_counters_move_by_exactly_what_was_done(tmp_path: Path) -> None:
    if flowfuse.program() is None:
        pytest.skip(flowfuse.MISSING)
    home = tmp_path / "home"
    with flowfuse.flowfuse(home) as platform, contextlib.closing(GuardedSQLiteSource(platform.database)) as source:
        bridge = counters(source, StandingClock())

        def counted() -> Moved:
            found = bridge.look("p")
            assert (found.failure, found.share) == (None, 1)
            return Counter({(name, *key): int(n) for name, of in found.readings.items() for key, n in of.items()})

        before = counted()

        def moved() -> Moved:
            nonlocal before
            after, earlier = counted(), before
            before = after
            assert not earlier - after
            return after - earlier

        assert moved() == Counter()
        assert platform.log_in("wrong") == 401
        assert moved() == events("account.login") + Counter([(SIGN_INS, "failure")])
        assert platform.log_in() == 200
        assert moved() == events("account.login") + Counter([(SIGN_INS, "success")])

        kind = platform.done("GET", "/api/v1/team-types")["types"][0]["id"]
        team = platform.done("POST", "/api/v1/teams", {"name": "t", "slug": "t", "type": kind})["id"]
        application = platform.done("POST", "/api/v1/applications", {"name": "a", "teamId": team})["id"]
        assert moved() == events("platform.team.created", "team.created", "team.user.added") + events(
            "application.created", "application.created"
        )

        of = {
            "applicationId": application,
            "projectType": platform.done("GET", "/api/v1/project-types")["types"][0]["id"],
            "stack": platform.done("GET", "/api/v1/stacks")["stacks"][0]["id"],
            "template": platform.done("GET", "/api/v1/templates")["templates"][0]["id"],
        }
        instance = platform.done("POST", "/api/v1/projects", {"name": "one", **of})["id"]
        assert moved() == events("project.created", "project.created")
        here = f"/api/v1/projects/{instance}"
        wait_until(lambda: platform.done("GET", here)["meta"]["state"] == "running", "the instance to run")
        for action, event in (("stop", "stopped"), ("start", "started"), ("restart", "restarted")):
            platform.done("POST", f"{here}/actions/{action}", {})
            assert moved() == events(f"project.{event}")
        platform.done("POST", "/api/v1/projects", {"name": "stub-fail-start", **of})  # the driver lets it fail, later
        wait_until(lambda: counted()[FAILURES, "start_failed"], "the instance not to start")
        failed = events("project.created", "project.created", "project.start-failed")
        assert moved() == failed + Counter([(FAILURES, "start_failed")])

        snapshot = platform.done("POST", f"{here}/snapshots", {"name": "s"})["id"]
        assert moved() == events("project.snapshot.created")
        platform.done("POST", f"{here}/actions/rollback", {"snapshot": snapshot})
        assert moved() == events("project.snapshot.rolled-back") + Counter([(DEPLOYMENTS, "people")])
        platform.done("POST", f"{here}/devices/settings", {"targetSnapshot": snapshot})
        assert moved() == events("project.snapshot.device-target-set") + Counter([(DEPLOYMENTS, "people")])

        device = platform.done("POST", "/api/v1/devices", {"name": "d", "type": "x", "team": team})
        assert moved() == events("team.device.created")
        error = {"error": {"code": "x"}}
        for event, content, derived in (
            ("flows.set", {"type": "full"}, [(DEPLOYMENTS, "people")]),
            ("flows.set", {"type": "full", "error": None}, [(DEPLOYMENTS, "people")]),
            ("flows.set", error, []),
            ("crashed", {}, [(DEVICE_FAILURES, "crashed")]),
            ("safe-mode", {}, [(DEVICE_FAILURES, "safe_mode")]),
            ("made.up", {}, []),
        ):
            body = {"event": event, **content}
            platform.done("POST", f"/logging/device/{device['id']}/audit", body, token=device["credentials"]["token"])
            assert moved() == events("other" if event == "made.up" else event) + Counter(derived), body
        body = {"event": "start-failed", **error}
        platform.done("POST", f"/logging/device/{device['id']}/audit", body, token=device["credentials"]["token"])
        assert moved() == events("device.start-failed") + Counter([(DEVICE_FAILURES, "start_failed")])

        platform.done("POST", "/account/logout", {})
        assert moved() == events("account.logout")

        shown = ff_observe("--home", home, "metrics", directory=tmp_path)
        assert shown.returncode == 0, shown.stderr
        of_audit = {metric.name: metric.labels for metric in AUDIT}
        assert before == Counter(
            {
                (sample.name, *(sample.labels[label] for label in of_audit[sample.name])): int(sample.value)
                for family in text_string_to_metric_families(shown.stdout)
                for sample in family.samples
                if sample.name in of_audit and sample.value
            }
        )
