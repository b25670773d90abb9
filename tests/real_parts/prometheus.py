"""A real Prometheus server and promtool (Debian package `prometheus`)."""

import contextlib
import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.real_parts.processes import answers, free_port, running, wait_until

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
MISSING = "needs Prometheus and promtool: apt-get install prometheus"
needed = pytest.mark.skipif(PROMETHEUS is None or PROMTOOL is None, reason=MISSING)


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def query(
        self, expression: str, at: datetime | None = None, *, keep_target: bool = False
    ) -> dict[tuple[tuple[str, str], ...], float]:
        """An instant query, now or `at`: labels (sorted, without `__name__`; `job`, `instance` and `platform_id` too,
        unless `keep_target`) to value."""
        found: dict[tuple[tuple[str, str], ...], float] = {}
        left_out = ("__name__",) if keep_target else ("__name__", "job", "instance", "platform_id")
        moment = {} if at is None else {"time": f"{at.timestamp():.3f}"}
        for series in self._get("query", query=expression, **moment)["result"]:
            labels = {k: v for k, v in series["metric"].items() if k not in left_out}
            found[tuple(sorted(labels.items()))] = float(series["value"][1])
        return found

    def value(self, expression: str, at: datetime | None = None) -> float | None:
        """The value of the one series that `expression` gives; None where there is none."""
        found = list(self.query(expression, at).values())
        assert len(found) <= 1, f"{expression} gives {len(found)} series"
        return found[0] if found else None

    def wait_for(self, expression: str, value: float) -> None:
        """Wait until `expression` has `value`."""
        wait_until(lambda: self.value(expression) == value, f"{expression} to be {value}")

    def targets(self) -> list[dict[str, Any]]:
        """The active targets, with health and last error."""
        found: list[dict[str, Any]] = self._get("targets")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with health and last error."""
        return [{"lastError": "", **rule} for group in self._get("rules")["groups"] for rule in group["rules"]]

    def alerts(self, name: str) -> list[dict[str, Any]]:
        """The alerts of a name that are pending or firing, with labels and annotations."""
        return [alert for alert in self._get("alerts")["alerts"] if alert["labels"]["alertname"] == name]

    def metadata(self) -> dict[str, Any]:
        """Type, help and unit by name, as learnt from the last scrapes."""
        return {each["metric"]: each for each in self._get("targets/metadata")}

    def _get(self, what: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=60) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]


def scrape(targets: Mapping[str, str], interval: str = "300ms") -> str:
    """A configuration with one job per entry of `targets` (job to `host:port`)."""
    jobs = [{"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()]
    settings = {"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": jobs}
    return json.dumps(settings)  # JSON is YAML


@contextlib.contextmanager
def prometheus(directory: Path, config: str) -> Iterator[Prometheus]:
    """A server with the configuration `config` (YAML) until the block ends."""
    assert PROMETHEUS is not None, MISSING
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "prometheus.yml").write_text(config)
    server = Prometheus(free_port())
    command = [
        PROMETHEUS,
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=10y",  # histories that a test puts into `data` may be older than 15 days
        "--web.enable-lifecycle",
        f"--web.listen-address=127.0.0.1:{server.port}",
    ]
    with running(command, directory, answers(f"{server.url}/-/ready")):
        yield server


def lint(exposition: bytes) -> str:
    """What `promtool check metrics` has to say of a text exposition: nothing, if all is well."""
    assert PROMTOOL is not None, MISSING
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=exposition, capture_output=True)
    told = (checked.stdout + checked.stderr).decode()
    assert checked.returncode == 0 or told, f"promtool ended with {checked.returncode}"
    return told
