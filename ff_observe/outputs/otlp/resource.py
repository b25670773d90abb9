"""Who is speaking, by OpenTelemetry's resource conventions."""

import uuid
from collections.abc import Callable

from opentelemetry.sdk.resources import Attributes, OTELResourceDetector, Resource

from ff_observe.version import VERSION

_SERVICE_INSTANCE_NAMESPACE = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""The namespace that the semantic conventions set for `service.instance.id` made of another id."""

InstanceId = Callable[[], str | None]
"""FlowFuse's instance id as far as it is known: the platform's database tells it, and may be down at the start."""


def service_instance_id(instance_id: str) -> str:
    """FlowFuse's instance id, hashed (UUID version 5): the same for a platform always, and not its id."""
    return str(uuid.uuid5(_SERVICE_INSTANCE_NAMESPACE, instance_id))


class SpeakingResource(Resource):
    """The resource of everything that is sent. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over what we say.

    `service.instance.id` joins it once the platform has told; until then it is the SDK's random one, if any.
    """

    def __init__(self, service: str, environment: str, instance_id: InstanceId = lambda: None) -> None:
        ours = {"service.name": service, "service.version": VERSION, "deployment.environment.name": environment}
        told = OTELResourceDetector().detect()
        whole = Resource.create(ours).merge(told)
        super().__init__(whole.attributes, whole.schema_url)
        self._instance_id: InstanceId = (lambda: None) if "service.instance.id" in told.attributes else instance_id

    @property
    def attributes(self) -> Attributes:
        known = self._instance_id()
        own = super().attributes
        return own if known is None else {**own, "service.instance.id": service_instance_id(known)}
