"""The landing page: which version of what runs here, which output is on and why, and where to look next."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from ff_observe.config.explain import OutputStatus
from ff_observe.config.settings import PrometheusSettings
from ff_observe.snapshots import Snapshot
from ff_observe.sources.model import Licence
from ff_observe.version import VERSION
from ff_observe.web.messages import Answer, answer

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
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


@dataclass(frozen=True, slots=True)
class Link:
    """A place to go from here. `path` starts with `/` for one of the bridge's own."""

    path: str
    title: str
    about: str


def standard_links(settings: PrometheusSettings) -> tuple[Link, ...]:
    """Where the bridge itself can be looked at, and what is written about it."""
    metrics = Link(settings.path, "Metrics", "Everything here as numbers, for Prometheus and its kin.")
    return (
        *((metrics,) if settings.enabled else ()),
        Link(HEALTHY_PATH, "Healthy", "Liveness: answers as long as the process lives."),
        Link(READY_PATH, "Ready", "Readiness: whether the platform's database can be read."),
        Link(TELEMETRY_DOCUMENTATION, "Documentation", "FlowFuse's telemetry settings, on flowfuse.com."),
    )


class StatusPage:
    """`outputs` tells of each output, `ping` whether the core ping may be sent for a platform as in a snapshot."""

    def __init__(
        self,
        outputs: Callable[[], Sequence[OutputStatus]],
        ping: Callable[[Snapshot], OutputStatus],
        driver: str,
        links: Sequence[Link],
    ) -> None:
        self._outputs = outputs
        self._ping = ping
        self._driver = driver
        self._links = tuple(links)

    def answer(self, snapshot: Snapshot, root_path: str = "") -> Answer:
        """The page for one moment. `root_path` is where the application is mounted."""
        return answer(200, "text/html; charset=utf-8", self._html(snapshot, root_path).encode(), *HEADERS)

    def _html(self, snapshot: Snapshot, root_path: str) -> str:
        ping = self._ping(snapshot)
        return _PAGE.substitute(
            style=_STYLE,
            version=escape(VERSION),
            state="up" if snapshot.up else "down",
            state_words=escape(_state(snapshot)),
            facts="".join(_fact(name, value) for name, value in self._facts(snapshot)),
            ping_state="on" if ping.on else "off",
            ping_words="is sent" if ping.on else "is not sent",
            ping_reason=_sentence(ping.reason[:1].upper() + ping.reason[1:]),
            outputs="".join(_output(output) for output in self._outputs()),
            links="".join(_link(link, root_path) for link in self._links),
            taken_at=escape(snapshot.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC")),
            taken_in=escape(f"{snapshot.duration_seconds * 1000:.0f} ms"),
        )

    def _facts(self, snapshot: Snapshot) -> Iterable[tuple[str, str]]:
        installation = snapshot.installation
        yield "FlowFuse", installation.flowfuse_version or "unknown"
        yield "Node.js", installation.nodejs_version or "unknown"
        yield "Driver", self._driver
        yield "Set-up", _known(installation.initialised, "completed", "not completed yet")
        yield "Licence", _licence(snapshot.up, installation.licence, installation.licence_problem)


def _state(snapshot: Snapshot) -> str:
    if not snapshot.up:
        return "The database does not answer"
    if snapshot.failures:
        return f"The database answers, but {len(snapshot.failures)} of its readings failed"
    return "The database answers"


def _known(value: bool | None, yes: str, no: str) -> str:
    return "unknown" if value is None else yes if value else no


def _licence(up: bool, licence: Licence | None, problem: str | None) -> str:
    if licence is not None:
        until = f"until {licence.expires_at:%Y-%m-%d}" if licence.expires_at else ""
        return " · ".join(filter(None, (licence.type, licence.tier, until)))
    if problem is not None:
        return f"none: {problem}"
    return "none (CE)" if up else "unknown"


_LONG_KEY = re.compile(r"\w+(?:\.\w+){2,}")
_QUOTED = re.compile(r"`([^`]+)`")


def _sentence(words: str) -> str:
    """Escaped; what stands in backquotes is code, and a long dotted key may break after a dot."""
    breakable = _LONG_KEY.sub(lambda key: key[0].replace(".", ".<wbr>"), escape(words))
    return _QUOTED.sub(r"<code>\1</code>", breakable)


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n"


def _output(output: OutputStatus) -> str:
    state = "on" if output.on else "off"
    return (
        f'<li><span class="badge {state}">{state}</span>'
        f"<div><h3>{escape(output.title)}</h3><p>{_sentence(output.reason)}</p></div></li>\n"
    )


def _link(link: Link, root_path: str) -> str:
    href = root_path + link.path if link.path.startswith("/") else link.path
    return f'<li><a href="{escape(href)}">{escape(link.title)}</a><p>{escape(link.about)}</p></li>\n'
