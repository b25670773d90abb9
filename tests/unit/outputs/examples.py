"""Settings that switch on one output, by its own example, and the context of its components."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ff_observe.config import load_settings
from ff_observe.config.settings import Settings
from ff_observe.outputs.model import Context, CurrentSnapshot, Output
from ff_observe.system.clock import Clock
from ff_observe.telemetry.redaction import Redactor, known_secrets
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests.unit.ping.samples import OPERATING_SYSTEM


def settings_with(home: Path, output: Output | None, receiver_port: int = 9) -> Settings:
    """Those of `home` with `output` on and every other one off; what it sends goes to a port of this machine."""
    keys = {
        "telemetry.url": f"http://127.0.0.1:{receiver_port}/ping",
        "telemetry.backend.prometheus.port": "0",
    }
    variables = {} if output is not None and output.build_lasting is not None else {"FF_TELEMETRY_DISABLED": "1"}
    if output is not None:
        keys[output.key] = _to_this_machine(output.example, receiver_port)
    (home / "etc").mkdir(exist_ok=True, parents=True)
    (home / "var").mkdir(exist_ok=True)
    (home / "etc" / "flowforge.yml").write_text("".join(f"{line}\n" for line in _lines(keys)))
    return load_settings(home=home, variables=variables)


def _to_this_machine(example: str, port: int) -> str:
    url = urlsplit(example)
    if not url.scheme:
        return example
    user = f"{url.username}@" if url.username else ""
    return url._replace(scheme="http", netloc=f"{user}127.0.0.1:{port}").geturl()


def _lines(keys: dict[str, str], depth: int = 0) -> list[str]:
    """YAML of dotted keys."""
    lines: list[str] = []
    for name in dict.fromkeys(path.partition(".")[0] for path in keys):
        below = {path.removeprefix(f"{name}."): value for path, value in keys.items() if path.startswith(f"{name}.")}
        indent = "  " * depth
        lines += [f"{indent}{name}:", *_lines(below, depth + 1)] if below else [f"{indent}{name}: {keys[name]}"]
    return lines


def context(
    told: Settings, platform: CurrentSnapshot | None, clock: Clock, metrics: SelfMetrics | None = None, **other: Any
) -> Context:
    """What components are built from; keyword arguments replace what a test is not about."""
    parts: dict[str, Any] = {
        "settings": told,
        "snapshots": platform,
        "flowfuse_version": lambda: None,
        "operating_system": OPERATING_SYSTEM,
        "self_metrics": metrics or SelfMetrics(),
        "clock": clock,
        "on_error": lambda _error, _name: None,
        "redactor": Redactor(known_secrets(told)),
    }
    return Context(**parts | other)
