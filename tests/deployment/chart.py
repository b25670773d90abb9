"""The chart in deploy/helm as Helm renders it, and the plain manifests in deploy/kubernetes that are made from it."""

from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

from tests.plain_machine import TOP

CHART: Final = TOP / "deploy" / "helm" / "ff-observe"
MANIFESTS: Final = TOP / "deploy" / "kubernetes" / "ff-observe.yaml"
EXTRA_OBJECTS: Final = TOP / "deploy" / "kubernetes" / "flowfuse-values.yaml"
MADE: Final = "# Made by `make generate` from deploy/helm/ff-observe. Edits are lost.\n"
NAMESPACE: Final = "flowfuse"

Object = dict[str, Any]


def render(values: dict[str, Any] | None = None, name: str = "ff-observe") -> list[Object]:
    """The Kubernetes objects of a release. Raises helm's own errors, those of the schema of values among them."""
    texts = [text for path, text in sorted(rendered(values, name).items()) if path.endswith(".yaml")]
    return [found for text in texts for found in yaml.safe_load_all(text) if found is not None]


def rendered(values: dict[str, Any] | None = None, name: str = "ff-observe") -> dict[str, str]:
    """What Helm makes of each template, the notes among them."""
    helm_python.disable_logging()
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values or {})
        found: dict[str, str] = chart.render(values or {}, name=name, namespace=NAMESPACE)
    return found


def the(kind: str, objects: list[Object], name: str | None = None) -> Object:
    """The one object of a kind, or of a kind and a name."""
    (found,) = (each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"]))
    return found


def plain_objects() -> list[Object]:
    """What `kubectl apply` takes: without the namespace, which its command names, and without a trace of Helm."""
    objects = render()
    for each in objects:
        del each["metadata"]["namespace"]
        labels = [each["metadata"]["labels"]]
        if each["kind"] == "Deployment":
            labels.append(each["spec"]["template"]["metadata"]["labels"])
        for found in labels:
            del found["helm.sh/chart"], found["app.kubernetes.io/managed-by"]
    return objects


def documents() -> dict[Path, str]:
    """The files in deploy/kubernetes, as they are to be."""
    objects = plain_objects()
    manifests = yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True, width=120)
    extra = yaml.safe_dump({"extraObjects": objects}, sort_keys=False, width=120)
    return {MANIFESTS: MADE + manifests, EXTRA_OBJECTS: MADE + extra}
