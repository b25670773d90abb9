"""The OpenTelemetry resource: which service the data comes from."""

import uuid
from collections.abc import Callable

from opentelemetry.sdk.resources import Attributes, OTELResourceDetector, Resource

from ff_observe.version import VERSION

_SERVICE_INSTANCE_NAMESPACE = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""The namespace in the semantic conventions for deriving `service.instance.id` from another id."""

InstanceId = Callable[[], str | None]
"""FlowFuse's instance id, once known: it comes from the platform's database, which may be down at the start."""


def service_instance_id(instance_id: str) -> str:
    """FlowFuse's instance id, hashed (UUID version 5): constant for a platform, without revealing the id."""
    return str(uuid.uuid5(_SERVICE_INSTANCE_NAMESPACE, instance_id))


class ServiceResource(Resource):
    """The resource of all data sent. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` take precedence over our
    values.

    `service.instance.id` is added once the platform's id is known; until then it is the SDK's random one, if any.
    """

    def __init__(self, service: str, environment: str, instance_id: InstanceId = lambda: None) -> None:
        ours = {"service.name": service, "service.version": VERSION, "deployment.environment.name": environment}
        from_variables = OTELResourceDetector().detect()
        whole = Resource.create(ours).merge(from_variables)
        super().__init__(whole.attributes, whole.schema_url)
        self._instance_id: InstanceId = (
            (lambda: None) if "service.instance.id" in from_variables.attributes else instance_id
        )

    @property
    def attributes(self) -> Attributes:
        known = self._instance_id()
        own = super().attributes
        return own if known is None else {**own, "service.instance.id": service_instance_id(known)}
