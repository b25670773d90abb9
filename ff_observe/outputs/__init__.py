"""Every output: `OUTPUTS` is the one list. A new output is a module with an `Output`, and a line here."""

from typing import Final

from ff_observe.config.settings import Settings
from ff_observe.outputs import frontend, prometheus_output
from ff_observe.outputs.model import Output, Status
from ff_observe.outputs.otlp import output as otlp_output
from ff_observe.outputs.ping import output as ping_output
from ff_observe.outputs.sentry import component as sentry_output
from ff_observe.platform.snapshot import Snapshot

OUTPUTS: Final[tuple[Output, ...]] = (
    ping_output.OUTPUT,
    prometheus_output.OUTPUT,
    sentry_output.OUTPUT,
    otlp_output.OUTPUT,
    *frontend.OUTPUTS,
)


def statuses(settings: Settings, snapshot: Snapshot | None) -> tuple[tuple[Output, Status], ...]:
    """Every output with its status; without a snapshot, as far as file and environment decide it."""
    return tuple((output, output.status(settings, snapshot)) for output in OUTPUTS)
