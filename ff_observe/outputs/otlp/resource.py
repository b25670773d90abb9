"""Who is speaking, by OpenTelemetry's resource conventions."""

import uuid

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from ff_observe.version import VERSION

_SERVICE_INSTANCE_NAMESPACE = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""The namespace that the semantic conventions set for `service.instance.id` made of another id."""


def service_instance_id(instance_id: str) -> str:
    """FlowFuse's instance id, hashed (UUID version 5): the same for a platform always, and not its id."""
    return str(uuid.uuid5(_SERVICE_INSTANCE_NAMESPACE, instance_id))


def build_resource(instance_id: str | None, environment: str) -> Resource:
    """The resource; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over what we would say."""
    attributes = {
        "service.name": "ff-observe",
        "service.version": VERSION,
        "deployment.environment.name": environment,
    }
    if instance_id is not None:
        attributes["service.instance.id"] = service_instance_id(instance_id)
    return Resource.create(attributes).merge(OTELResourceDetector().detect())
