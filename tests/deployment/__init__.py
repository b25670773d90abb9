"""Where FlowFuse runs: Kubernetes, docker compose, an image, systemd; and the documents that say how."""
