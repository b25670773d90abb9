"""The chart in deploy/helm: Helm renders it, Kubernetes takes it, and the bridge reads FlowFuse's ConfigMap with it."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from ff_observe.config import load_settings
from ff_observe.config.secret import Secret
from ff_observe.config.settings import PostgreSQLDatabase
from ff_observe.egress.listing import contacts, of_bridge
from ff_observe.egress.policy import rules
from ff_observe.version import VERSION
from tests import kubernetes, recordings
from tests.deployment.chart import CHART, EXTRA_OBJECTS, MANIFESTS, NAMESPACE, documents, render, rendered, the
from tests.deployment.compose import ON_LOOPBACK
from tests.plain_machine import TOP
from tests.platforms import case_named
from tests.real_parts import postgresql
from tests.real_parts.bridge import running_bridge

EVERYTHING: dict[str, Any] = {
    "flowfuse": {"version": "2.33.2"},
    "database": {"user": "ff_observe", "secretName": "ff-observe-database"},
    "settings": {"telemetry": {"backend": {"otlp": {"endpoint": "http://otel-collector:4318"}}}},
    "allowedHosts": ["status.example.com"],
    "extraEnv": [{"name": "SENTRY_ENV", "value": "production"}],
    "extraVolumes": [{"name": "authority", "configMap": {"name": "ff-ca-certs"}}],
    "extraVolumeMounts": [{"name": "authority", "mountPath": "/usr/local/ssl-certs", "readOnly": True}],
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "podMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True, "runbooks": "https://wiki.example.com/"},
    "dashboards": {"enabled": True, "annotations": {"grafana_folder": "FlowFuse"}},
    "networkPolicy": {"from": [{"namespaceSelector": {}}], "database": {"to": [{"ipBlock": {"cidr": "10.0.0.5/32"}}]}},
    "image": {"pullSecrets": [{"name": "registry"}]},
    "priorityClassName": "high",
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "service": {"annotations": {"e": "f"}},
}
OWN_KINDS = ("monitoring.coreos.com/v1",)  # of the Prometheus Operator: Kubernetes has no schema of them
each_set_of_values = pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])


@pytest.fixture(scope="module")
def everything() -> list[dict[str, Any]]:
    return render(EVERYTHING)


def configmaps() -> list[Path]:
    """`flowforge.yml` as FlowFuse's chart renders it: our equivalent, and recordings of the real one where they are."""
    real = sorted((recordings.ALL / "deploy").glob("helm-*.yml"))
    return [TOP / "tests" / "data" / "config" / "kubernetes.yml", *real]


def environment(deployment: dict[str, Any], directory: Path, secret: str) -> dict[str, str]:
    """The variables of the container, its one Secret filled in, and the place of its settings in `directory`."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found = {each["name"]: each.get("value", secret) for each in container["env"]}
    return found | {"FF_OBSERVE_SETTINGS": str(directory / Path(found["FF_OBSERVE_SETTINGS"]).name)}


@pytest.fixture(params=[{}, EVERYTHING], ids=["defaults", "everything"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The directory of a pod's ConfigMaps, that of FlowFuse still empty, and the variables of its container."""
    objects = render(request.param)
    for name, text in the("ConfigMap", objects, "ff-observe")["data"].items():
        (tmp_path / name).write_text(text)
    return tmp_path, environment(the("Deployment", objects), tmp_path, "planted-password")


@each_set_of_values
def test_helm_lints_and_kubernetes_takes_what_it_renders(values: dict[str, Any]) -> None:
    linted = helm_python.lint(CHART, values, strict=True, namespace=NAMESPACE, kube_version="v1.31.0")
    assert [message for message in linted["messages"] if "icon" not in message["error"]] == linted["errors"] == []
    objects = render(values)
    assert len({(each["kind"], each["metadata"]["name"]) for each in objects}) == len(objects)
    for each in objects:
        if each["apiVersion"] not in OWN_KINDS:
            for version in kubernetes.VERSIONS:
                kubernetes.takes(each, version)


def test_a_schema_that_kubernetes_does_not_have_would_be_noticed() -> None:
    from kubernetes_validate import ValidationError  # takes seconds

    deployment = the("Deployment", render())
    deployment["spec"]["replica"] = 2
    with pytest.raises(ValidationError, match="replica"):
        kubernetes.takes(deployment, "1.31")


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 2},
        {"replicas": 0},
        {"database": {"password": "in-the-values"}},
        {"settings": {"logging": {}}},
        {"flowfuse": {"url": "http://user:pw@forge"}},
        {"serviceMonitor": {"interval": "often"}},
        {"serviceMonitor": {"access": {"tlsconfig": {}}}},
        {"service": {"scheme": "https"}},
        {"networkPolicy": {"egressPorts": [0]}},
        {"image": {"tag": "sha256:abc"}},
        {"image": {"pullSecrets": ["registry"]}},
        {"podDisruptionBudget": {"maxUnavailable": "one"}},
        {"prometheusRule": {"runbooks": "https://wiki.example.com/a: b"}},
        {"settings": {"telemetry": {"backend": {"prometheus": {"bridge_enabled": False}}}}},
        {"settings": {"telemetry": {"backend": {"prometheus": {"host": "127.0.0.1"}}}}},
        {"settings": {"telemetry": {"backend": {"prometheus": {"port": 9090}}}}},
    ],
    ids=str,
)
def test_values_that_mean_nothing_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmValuesError):
        render(values)


def test_texts_that_yaml_reads_otherwise_stay_texts() -> None:
    values = {
        "flowfuse": {"release": "123", "configMap": "123"},
        "database": {"secretName": "123", "secretKey": "on"},
        "priorityClassName": "1e3",
        "instance": "bank: prod #1",
        "serviceMonitor": {"enabled": True},
    }
    objects = render(values, name="123")
    for each in objects:
        if each["apiVersion"] not in OWN_KINDS:
            kubernetes.takes(each)
    assert the("ServiceMonitor", objects)["spec"]["endpoints"][0]["relabelings"][0]["replacement"] == "bank: prod #1"


def test_releases_whose_names_differ_in_the_last_letter_have_objects_of_their_own() -> None:
    longest = 53  # Helm's limit; a Service may have 63 letters
    names = ["f" * (longest - 1) + last for last in "ab"]
    first, second = ({(each["kind"], each["metadata"]["name"]) for each in render(EVERYTHING, name)} for name in names)
    assert first & second == set()
    assert {len(name) for kind, name in first | second if kind == "Service"} == {63}


def test_pods_that_are_not_ready_do_not_keep_a_node_from_being_drained() -> None:
    assert the("PodDisruptionBudget", render())["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_probes_and_monitors_speak_tls_where_the_values_say_so() -> None:
    access = {"tlsConfig": {"serverName": "ff-observe"}, "basicAuth": {"username": {"name": "web", "key": "user"}}}
    monitors = {kind: {"enabled": True, "access": access} for kind in ("serviceMonitor", "podMonitor")}
    objects = render({"service": {"scheme": "HTTPS"}, **monitors})
    (container,) = the("Deployment", objects)["spec"]["template"]["spec"]["containers"]
    probes = [container[f"{kind}Probe"]["httpGet"]["scheme"] for kind in ("startup", "liveness", "readiness")]
    assert probes == ["HTTPS"] * 3
    for kind, key in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        (endpoint,) = the(kind, objects)["spec"][key]
        assert access.items() <= endpoint.items()
        assert endpoint["scheme"] == "https"
    notes = rendered({"service": {"scheme": "HTTPS"}})["ff-observe/templates/NOTES.txt"]
    assert "https://127.0.0.1:10464/" in notes


def test_a_cluster_may_choose_the_pods_users() -> None:
    values = {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}
    confined = the("Deployment", render(values))["spec"]["template"]["spec"]["securityContext"]
    assert confined == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_every_default_is_in_the_schema_of_values_and_nothing_else() -> None:
    def names(values: Any, schema: Any, path: str = "") -> Iterator[str]:
        if isinstance(values, dict) and "properties" in schema:
            yield from (f"{path}{name}" for name in values.keys() ^ schema["properties"].keys() - {"global"})
            for name in values.keys() & schema["properties"].keys():
                yield from names(values[name], schema["properties"][name], f"{path}{name}.")

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    differing = set(names(values, schema)) - {"settings.telemetry", "settings.db"}
    assert differing == set()


@pytest.mark.parametrize("file", configmaps(), ids=lambda file: file.name)
def test_the_bridge_reads_flowfuses_configmap_with_the_database_password_alone(
    mounted: tuple[Path, dict[str, str]], file: Path
) -> None:
    directory, variables = mounted
    (directory / "etc").mkdir()
    (directory / "etc" / "flowforge.yml").write_bytes(file.read_bytes())
    settings = load_settings(home=directory, variables=variables)
    assert settings.warnings == ()
    assert isinstance(settings.database, PostgreSQLDatabase)
    assert settings.database.password == Secret("planted-password")
    assert settings.database.user in ("forge", "ff_observe")
    assert settings.prometheus.enabled
    assert (settings.prometheus.host, settings.prometheus.port) == ("0.0.0.0", 10464)
    assert settings.prometheus.probe_url == "http://forge"
    service = ("ff-observe", "ff-observe.flowfuse", "ff-observe.flowfuse.svc", "ff-observe.flowfuse.svc.cluster.local")
    assert set(service) <= set(settings.prometheus.allowed_hosts)


@each_set_of_values
def test_a_pod_is_given_one_secret_and_no_rights(values: dict[str, Any]) -> None:
    deployment = the("Deployment", render(values))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    references = [each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each]
    name = "ff-observe-database" if values else "flowfuse-secrets"
    assert references == [{"name": name, "key": "password"}]
    assert [volume for volume in pod["volumes"] if "secret" in volume] == []
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (prepare,) = pod["initContainers"]
    assert "env" not in prepare
    confined = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [each["securityContext"] for each in (prepare, container)] == [confined, confined]


def test_a_bridge_runs_as_the_pod_runs_it(tmp_path: Path, postgres: postgresql.Cluster) -> None:
    case = case_named("v2.4.0-postgres-ce")
    database = postgres.load("helm", case.home / "dump.sql")
    objects = render(
        {"database": {"user": "postgres"}, "settings": {"db": {"host": "127.0.0.1", "port": postgres.port}}}
    )
    for name, text in the("ConfigMap", objects, "ff-observe")["data"].items():
        (tmp_path / name).write_text(text)
    (tmp_path / "etc").mkdir()
    flowforge = (TOP / "tests" / "data" / "config" / "kubernetes.yml").read_text()
    (tmp_path / "etc" / "flowforge.yml").write_text(flowforge.replace("database: flowforge", f"database: {database}"))
    variables = environment(the("Deployment", objects), tmp_path, postgresql.PASSWORD)
    with running_bridge(tmp_path, tmp_path, **variables | ON_LOOPBACK) as bridge:
        assert bridge.get("/-/ready").status == 200
        assert case.stats is not None
        assert bridge.value("flowfuse_users") == case.stats["userCount"]
        assert postgresql.PASSWORD not in bridge.log


def test_labels_and_ports_find_each_other(everything: list[dict[str, Any]]) -> None:
    pod = the("Deployment", everything)["spec"]["template"]
    ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    service, monitor, pods = (the(kind, everything) for kind in ("Service", "ServiceMonitor", "PodMonitor"))
    policy = the("NetworkPolicy", everything, "ff-observe")["spec"]
    budget = the("PodDisruptionBudget", everything)["spec"]
    for selector in (
        service["spec"]["selector"],
        pods["spec"]["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
        budget["selector"]["matchLabels"],
        the("NetworkPolicy", everything, "ff-observe-database")["spec"]["ingress"][0]["from"][0]["podSelector"][
            "matchLabels"
        ],
    ):
        assert selector.items() <= pod["metadata"]["labels"].items()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    named = {port["name"] for port in service["spec"]["ports"]}
    assert {each["port"] for each in monitor["spec"]["endpoints"]} <= named
    assert {each["port"] for each in pods["spec"]["podMetricsEndpoints"]} <= ports
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    assert policy["ingress"][0]["ports"][0]["port"] in ports


def test_the_network_policy_opens_what_the_bridge_contacts(tmp_path: Path) -> None:
    """By default each port, anywhere; with the rules of `ff-observe egress` these and no others."""
    secrets = dict.fromkeys(("PGPASSWORD", "SMTPPASSWORD", "TEAM_BROKER_API_SECRET"), "invented")
    settings = load_settings(home=tmp_path, config=TOP / "tests/data/config/kubernetes.yml", variables=secrets)
    otlp = [f"http://otel.example.com:{port}" for port in (4317, 4318)]
    overlays = [replace(settings, otlp=replace(settings.otlp, endpoint=Secret(each))) for each in otlp]
    listed = [contact for each in overlays for contact in of_bridge(contacts(each)) if not contact.is_this_machine]
    by_default = the("NetworkPolicy", render({}), "ff-observe")["spec"]["egress"]
    opened = {port["port"] for rule in by_default for port in rule["ports"]}
    assert {contact.port for contact in listed if "." in contact.host} <= opened
    own = rules(listed)
    values = {"networkPolicy": {"egress": own}}
    assert the("NetworkPolicy", render(values), "ff-observe")["spec"]["egress"] == own


def test_several_replicas_expose_one_instance_that_outlives_its_pods(everything: list[dict[str, Any]]) -> None:
    for kind, key in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        (endpoint,) = the(kind, everything)["spec"][key]
        assert endpoint["relabelings"] == [{"targetLabel": "instance", "replacement": "flowfuse.flowfuse"}]


def test_the_rules_and_dashboards_are_the_repositorys_own(everything: list[dict[str, Any]], tmp_path: Path) -> None:
    source = (TOP / "grafana" / "rules" / "flowfuse-alerts.yml").read_text()
    expected = yaml.safe_load(source.replace("runbook_url: ", "runbook_url: https://wiki.example.com/"))
    rule = the("PrometheusRule", everything)["spec"]
    assert rule == expected
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule))
    command = ["promtool", "check", "rules", str(tmp_path / "rules.yml")]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    labelled = [each for each in everything if "grafana_dashboard" in each["metadata"]["labels"]]
    shipped = {name: json.loads(text) for each in labelled for name, text in each["data"].items()}
    files = {file.name: json.loads(file.read_text()) for file in (TOP / "grafana" / "dashboards").glob("*.json")}
    assert shipped == files
    assert all(len(json.dumps(each)) < 2**20 for each in labelled)  # the most that a ConfigMap holds


def test_the_chart_has_the_version_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION


def test_changed_settings_start_new_pods() -> None:
    def checksum(values: dict[str, Any]) -> str:
        metadata = the("Deployment", render(values))["spec"]["template"]["metadata"]
        return str(metadata["annotations"]["checksum/settings"])

    assert checksum({}) != checksum({"flowfuse": {"version": "2.33.2"}})
    assert len(checksum({})) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize("file", [MANIFESTS, EXTRA_OBJECTS], ids=lambda file: file.name)
def test_the_plain_manifests_are_those_of_the_chart(file: Path) -> None:
    assert file.read_text() == documents()[file], "make generate"


def test_the_extra_objects_pass_the_templates_of_flowfuses_chart_unchanged() -> None:
    """It hands them to `tpl`."""
    assert "{{" not in EXTRA_OBJECTS.read_text()
    objects = yaml.safe_load(EXTRA_OBJECTS.read_text())["extraObjects"]
    assert objects == list(yaml.safe_load_all(MANIFESTS.read_text()))
    for each in objects:
        kubernetes.takes(each)
