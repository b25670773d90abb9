"""A whole bridge on a recorded platform, with OTLP as a test wants it."""

import contextlib
import re
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ff_observe.config import load_settings
from ff_observe.config.settings import Settings
from ff_observe.running.bridge import Bridge
from tests import recordings
from tests.real_parts.postgresql import PASSWORD, Cluster

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]
"""Name of a metric → sorted labels → value."""


def case(name: str) -> recordings.Case:
    return recordings.named(name)


def settings(
    directory: Path, database: str, otlp: Mapping[str, object], *, ping: bool = False, more: str = ""
) -> Settings:
    """Settings of a platform with this `db` section, and these keys under `telemetry.backend.otlp`. Its ping would go
    where nobody listens."""
    keys = "\n".join(f"      {name}: {value}" for name, value in otlp.items())
    section = f"    otlp:\n{keys}\n" if otlp else ""
    (directory / "etc").mkdir(exist_ok=True)
    (directory / "etc" / "flowforge.yml").write_text(
        f"{database}\n{more}\ndriver:\n  type: stub\n"
        f"telemetry:\n  enabled: {str(ping).lower()}\n  url: http://127.0.0.1:9/ping\n"
        "  platform: {version: 2.4.0, nodejs_version: v18.19.0}\n"
        f"  backend:\n    prometheus: {{enabled: true, port: 0}}\n{section}"
    )
    return load_settings(directory, variables={"SENTRY_ENV": "staging"})


def sqlite(name: str) -> str:
    """The `db` section of a recorded SQLite platform."""
    return f"db:\n  type: sqlite\n  storage: {case(name).home / 'var' / 'forge.db'}"


def postgresql(cluster: Cluster, name: str) -> str:
    """The `db` section of a recorded PostgreSQL platform, loaded into `cluster`."""
    database = cluster.load(f"otlp_{name}", case(name).home / "dump.sql")
    return (
        f"db:\n  type: postgres\n  host: 127.0.0.1\n  port: {cluster.port}\n"
        f"  user: postgres\n  password: {PASSWORD}\n  database: {database}"
    )


def licence(name: str) -> str:
    """The line of a recorded file with the licence; empty where the database has it, or there is none."""
    lines = (case(name).home / "etc" / "flowforge.yml").read_text().splitlines()
    return next((line for line in lines if line.startswith("license: ")), "")


@contextlib.contextmanager
def running(of: Settings) -> Iterator[Bridge]:
    """A bridge that serves itself, until the block ends."""
    bridge = Bridge(of, serve=True)
    bridge.start()
    try:
        yield bridge
    finally:
        bridge.stop()


def scrape(bridge: Bridge) -> Samples:
    """What `/metrics` says."""
    with urllib.request.urlopen(f"{bridge.url}/metrics") as reply:
        text = reply.read().decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def instance_id(name: str) -> str:
    """The id that a recorded platform gave itself, from its recorded ping or statistics."""
    ping = case(name).ping
    assert ping is not None
    return str(re.sub(r"\s", "", str(ping["instanceId"])))
