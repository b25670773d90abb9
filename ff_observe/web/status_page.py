"""The status page: problems first, then what runs here, which output is on and why, and where to look next."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from ff_observe.catalogue import facts
from ff_observe.config.settings import PrometheusSettings, Settings
from ff_observe.http.messages import Answer, answer
from ff_observe.outputs import statuses
from ff_observe.outputs.model import Output, Status
from ff_observe.outputs.ping.consent import left_to_another
from ff_observe.platform.snapshot import Snapshot
from ff_observe.problems import Finding, find_problems
from ff_observe.self_metrics import SelfMetrics
from ff_observe.version import VERSION

HEALTHY_PATH = "/-/healthy"
READY_PATH = "/-/ready"
TELEMETRY_DOCUMENTATION = "https://flowfuse.com/docs/admin/telemetry/"

_PACKAGE = files("ff_observe.web")
_STYLE = _PACKAGE.joinpath("status_page.css").read_text("utf-8")
_PAGE = Template(_PACKAGE.joinpath("status_page.html").read_text("utf-8"))
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
)


@dataclass(frozen=True, slots=True)
class Link:
    """A place to go from here. `path` starts with `/` for one of the bridge's own."""

    path: str
    title: str
    about: str


def standard_links(settings: PrometheusSettings) -> tuple[Link, ...]:
    """Where the bridge itself can be looked at, and what is written about it."""
    metrics = Link(settings.path, "Metrics", "Everything here as numbers, for Prometheus.")
    return (
        *((metrics,) if settings.enabled else ()),
        Link(HEALTHY_PATH, "Healthy", "Liveness: answers as long as the process lives."),
        Link(READY_PATH, "Ready", "Readiness: whether the platform's database can be read."),
        Link(TELEMETRY_DOCUMENTATION, "Documentation", "FlowFuse's telemetry settings, on flowfuse.com."),
    )


class StatusPage:
    """The page for one set of settings. `self_metrics` says how the bridge itself is doing, and `examined` what the
    last examination found; it must not block."""

    def __init__(
        self, settings: Settings, self_metrics: SelfMetrics, examined: Callable[[], Iterable[Finding]] = tuple
    ) -> None:
        self._examined = examined
        self._settings = settings
        self._self_metrics = self_metrics
        self._links = standard_links(settings.prometheus)

    def answer(self, snapshot: Snapshot, root_path: str = "") -> Answer:
        """The page for one moment. `root_path` is where the application is mounted."""
        return answer(200, "text/html; charset=utf-8", self._html(snapshot, root_path).encode(), *HEADERS)

    def _html(self, snapshot: Snapshot, root_path: str) -> str:
        failures, readings = self._self_metrics.failures(), self._self_metrics.readings()
        problems = find_problems(self._settings, snapshot, readings, failures, self._examined())
        found = {output.name: (output, status) for output, status in statuses(self._settings, snapshot)}
        _, ping = found.pop("ping")  # has a place of its own
        left_to = left_to_another(readings) if ping.on else None
        if left_to is not None:
            ping = Status(False, left_to)
        state, state_words = _state(snapshot, problems)
        return _PAGE.substitute(
            style=_STYLE,
            version=escape(VERSION),
            state=state,
            state_words=escape(state_words),
            problems=_problems(problems),
            facts="".join(_fact(name, value) for name, value in self._facts(snapshot)),
            ping_state="on" if ping.on else "off",
            ping_words="is sent" if ping.on else "is not sent",
            ping_reason=_sentence(ping.reason[:1].upper() + ping.reason[1:]),
            outputs="".join(_output(output, status, output.name in failures) for output, status in found.values()),
            links="".join(_link(link, root_path) for link in self._links),
            taken=_taken(snapshot),
        )

    def _facts(self, snapshot: Snapshot) -> Iterable[tuple[str, str]]:
        installation = snapshot.installation
        yield "FlowFuse", installation.flowfuse_version or "unknown"
        yield "Node.js", installation.nodejs_version or "unknown"
        yield "Driver", self._settings.platform.driver
        yield facts.INITIALISED.title, _known(installation.initialised, "completed", "not completed yet")
        yield facts.LICENSE_ACTIVE.title, _licence(snapshot)


def _state(snapshot: Snapshot, problems: Sequence[Finding]) -> tuple[str, str]:
    """Class and words of the badge on top."""
    if not snapshot.up:
        return "down", "The database does not answer"
    if problems:
        return "troubled", "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "up", "The database answers"


def _taken(snapshot: Snapshot) -> str:
    moment = f"<time>{snapshot.taken_at:%Y-%m-%d %H:%M:%S} UTC</time>"
    if not snapshot.up:
        return f"Nothing could be read from the platform at {moment}."
    milliseconds = snapshot.duration_seconds * 1000
    return (
        f"Read from the platform at {moment} in {milliseconds:.0f} ms."
        if milliseconds >= 1
        else (f"Read from the platform at {moment} in less than 1 ms.")
    )


def _known(value: bool | None, yes: str, no: str) -> str:
    return "unknown" if value is None else yes if value else no


def _licence(snapshot: Snapshot) -> str:
    installation = snapshot.installation
    licence, now = installation.licence, snapshot.taken_at
    if licence is not None:
        expired = licence.expires_at is not None and licence.expires_at <= now
        until = f"{'expired' if expired else 'until'} {licence.expires_at:%Y-%m-%d}" if licence.expires_at else ""
        return " · ".join(filter(None, (licence.type, licence.tier, until)))
    if installation.licence_problem is not None:
        return "not accepted"
    return "none (CE)" if snapshot.up else "unknown"


_LONG_KEY = re.compile(r"\w+(?:\.\w+){2,}")
_QUOTED = re.compile(r"`([^`]+)`")


def _sentence(words: str) -> str:
    """Escaped; what stands in backquotes is code, and a long dotted key may break after a dot."""
    breakable = _LONG_KEY.sub(lambda key: key[0].replace(".", ".<wbr>"), escape(words))
    return _QUOTED.sub(r"<code>\1</code>", breakable)


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n"


def _problems(problems: Sequence[Finding]) -> str:
    if not problems:
        return ""
    items = "".join(
        f"<li><h3>{_sentence(problem.title)}</h3>\n<p>{_sentence(problem.detail)}</p>\n"
        f'<p class="fix"><strong>What to do:</strong> {_sentence(problem.fix)}</p></li>\n'
        for problem in problems
    )
    return (
        '<section class="problems" aria-labelledby="problems">\n<h2 id="problems">Problems</h2>\n'
        f"<ul>\n{items}</ul>\n</section>\n"
    )


def _output(output: Output, status: Status, failing: bool) -> str:
    state = "fails" if status.on and failing else "on" if status.on else "off"
    return (
        f'<li><span class="badge {state}">{state}</span>'
        f"<div><h3>{escape(output.title)}</h3><p>{_sentence(status.reason)}</p></div></li>\n"
    )


def _link(link: Link, root_path: str) -> str:
    # Relative where nobody says where the application is mounted: a proxy may serve it below a prefix.
    href = (root_path or ".") + link.path if link.path.startswith("/") else link.path
    return f'<li><a href="{escape(href)}">{escape(link.title)}</a><p>{escape(link.about)}</p></li>\n'
