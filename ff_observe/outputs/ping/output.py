"""The core ping as an output: its status is the decision of the gate that the ping itself passes."""

from typing import TYPE_CHECKING

from ff_observe.config import declaration as key_of
from ff_observe.config.settings import Settings
from ff_observe.outputs.model import Context, Destination, Output, Status
from ff_observe.outputs.ping import NAME
from ff_observe.outputs.ping.consent import decide_here, decide_without_database
from ff_observe.platform.snapshot import Snapshot

if TYPE_CHECKING:
    from ff_observe.outputs.ping.component import CorePing


def _status(settings: Settings, snapshot: Snapshot | None) -> Status:
    if snapshot is not None:
        decision = decide_here(snapshot, settings)
        return Status(decision.allowed, decision.explanation)
    early = decide_without_database(settings)
    return Status(None, _open(settings)) if early is None else Status(early.allowed, early.explanation)


def _open(settings: Settings) -> str:
    """The part of the decision that the platform's database makes."""
    if settings.ping.sender == "never":
        return "telemetry.ping.sender is never: another bridge of this platform has to send it"
    if settings.ping.enabled is False:
        return f"{key_of.ENABLED.path} is false, which stops it unless the platform's database holds a licence"
    if settings.environment.do_not_track:
        return "DO_NOT_TRACK is set, which stops it unless the platform's database holds a licence"
    return "the platform's database decides: set-up, licence and the administrators' setting"


def _build(context: Context) -> "CorePing":
    from ff_observe.outputs.ping.component import CorePing

    return CorePing(context)


def _destinations(settings: Settings) -> tuple[Destination]:
    extra = "" if settings.ping.receipts is None else "a checkpoint of the ledger: its random name, size and root"
    return (Destination(settings.ping.url, extra=extra),)


OUTPUT = Output(
    name=NAME,
    title="Core ping",
    document="ping",
    content="counts, versions, the platform's random id and its licence's id, once a day; no names, no addresses",
    receiver="FlowFuse Inc., or telemetry.url",
    key=key_of.ENABLED.path,
    example="true",
    stop=f"`{key_of.ENABLED.path}: false` on a platform without a licence; `FF_TELEMETRY_DISABLED` on every platform",
    fix="Check `telemetry.url`, proxy and firewall: this machine must reach it. `ff-observe ping send` tries at once.",
    status=_status,
    build_lasting=_build,
    destinations=_destinations,
)
