"""`grafana/mixin.libsonnet` gives the committed files, for those who use jsonnet."""

import json

import rjsonnet
import yaml

from tests.dashboards import DASHBOARDS, ROOT, RULES, dashboard

MIXIN = ROOT / "grafana" / "mixin.libsonnet"


def test_the_mixin_holds_every_dashboard_and_rule_as_committed() -> None:
    # `::` hides rules from the output, as in other mixins.
    shown = ", ".join(f"{name}::: super.{name}" for name in ("prometheusAlerts", "prometheusRules"))
    visible = f"(import '{MIXIN}') + {{ {shown} }}"
    mixin = json.loads(rjsonnet.evaluate_snippet("mixin", visible))
    assert mixin["grafanaDashboards"] == {path.name: dashboard(path) for path in DASHBOARDS}
    groups = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for path in RULES}
    assert mixin["prometheusRules"] == {"groups": groups["flowfuse-admin-stats"]}
    assert mixin["prometheusAlerts"] == {"groups": groups["flowfuse-alerts"] + groups["flowfuse-collector-alerts"]}
