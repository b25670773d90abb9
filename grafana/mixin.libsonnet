// For those who assemble their monitoring with jsonnet: the same files, as a mixin.
// The YAML is parsed here, so that there is no second source of truth.
local rules(file) = std.parseYaml(file).groups;

{
  grafanaDashboardFolder: 'FlowFuse',
  grafanaDashboards+: {
    'flowfuse-platforms.json': import 'dashboards/flowfuse-platforms.json',
    'flowfuse-platform.json': import 'dashboards/flowfuse-platform.json',
    'flowfuse-growth.json': import 'dashboards/flowfuse-growth.json',
    'flowfuse-rollout.json': import 'dashboards/flowfuse-rollout.json',
    'flowfuse-activity.json': import 'dashboards/flowfuse-activity.json',
    'flowfuse-health.json': import 'dashboards/flowfuse-health.json',
    'flowfuse-licence.json': import 'dashboards/flowfuse-licence.json',
    'flowfuse-telemetry.json': import 'dashboards/flowfuse-telemetry.json',
    'flowfuse-bridge.json': import 'dashboards/flowfuse-bridge.json',
    'flowfuse-fleet.json': import 'dashboards/flowfuse-fleet.json',
    'flowfuse-fleet-history.json': import 'dashboards/flowfuse-fleet-history.json',
  },
  prometheusAlerts+:: {
    groups+: rules(importstr 'rules/flowfuse-alerts.yml') + rules(importstr 'rules/flowfuse-collector-alerts.yml'),
  },
  prometheusRules+:: {
    groups+: rules(importstr 'rules/flowfuse-admin-stats.yml'),
  },
}
