"""What Kubernetes would take, by its own schemas: strictly, unknown fields are refused."""

from typing import Any

NEWEST = "newest"
VERSIONS = ("1.27", "1.31", NEWEST)


def takes(manifest: dict[str, Any], version: str = NEWEST) -> None:
    """Raises `kubernetes_validate.ValidationError` if that version of Kubernetes would not."""
    import kubernetes_validate  # takes seconds, which only the worker that validates spends

    known = kubernetes_validate.latest_version() if version == NEWEST else version
    kubernetes_validate.validate(manifest, known, strict=True)
