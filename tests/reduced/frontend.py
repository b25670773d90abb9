"""Pages as FlowFuse serves them with each of its frontend settings: invented, with FlowFuse's own configuration at
FlowFuse's place, and the policy that goes with them."""

import json
from pathlib import Path
from typing import Any, Final

from tests.reduced.platforms import HEAD, SQLITE, STUB, write_text

POSTHOG: Final = {"apikey": "phc_invented", "apiurl": "http://127.0.0.1:9079", "capture_pageview": False}
SENTRY: Final = {"dsn": "http://invented@127.0.0.1:9079/3", "production_mode": False}
ALL: Final[dict[str, Any]] = {
    "posthog": POSTHOG,
    "sentry": SENTRY,
    "plausible": {"domain": "plausible.example.org"},
    "google": {"tag": "G-INVENTED", "events": {"signup": {}}},
}
SETTINGS: Final[dict[str, dict[str, Any] | None]] = {
    "v2.4.0-all": ALL,
    "v2.4.0-none": None,
    "v2.33.2-all": ALL,
    "v2.33.2-all-csp-off": ALL,
    "v2.33.2-all-custom-directives": ALL,
    "v2.33.2-all-report-only": ALL,
    "v2.33.2-frontend-empty": {"plausible": None},
    "v2.33.2-none": None,
    **{f"v2.33.2-only-{name}": {name: ALL[name]} for name in ALL},
    "v2.33.2-posthog-nokey": {"posthog": {"apiurl": "http://127.0.0.1:9079"}},
}
"""`telemetry.frontend` by FlowFuse's version and the name of the case."""

_PAGE_2_33: Final = """<!DOCTYPE html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <title>Example Works</title>
    <script>document.documentElement.dataset.theme = 'light'</script>
    {}
</head>
<body>
    <div id="app"></div>
</body>
</html>
"""
_PAGE_2_4: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Example Works</title>{}'
    '<script defer="defer" src="/app/start.js"></script></head><body><div id="app"></div></body></html>\n'
)
_PLACE: Final = "<script>/*inject-ff-scripts*/</script>"
_POSTHOG_STUB: Final = "!function(t,e){e._i=[];e.init=function(k,o){e._i.push([k,o])};t.posthog=e}(window,{});"
_METRICS: Final = (
    "# HELP nodejs_version_info Version of Node.js.\n# TYPE nodejs_version_info gauge\n"
    'nodejs_version_info{version="v22.14.0",major="22",minor="14",patch="0"} 1\n'
)


def write_frontends(directory: Path) -> None:
    for name, frontend in SETTINGS.items():
        telemetry: dict[str, Any] = {"enabled": True, "backend": {"prometheus": {"enabled": True}}}
        if frontend is not None:
            telemetry["frontend"] = frontend
        write_text(directory / name / "flowforge.yml", f"{HEAD}{SQLITE}{STUB}telemetry: {json.dumps(telemetry)}\n")
        write_text(directory / name / "index.html", _page(name.startswith("v2.4.0"), frontend))
        write_text(directory / name / "csp.txt", _header(name, frontend or {}) + "\n")
        write_text(directory / name / "metrics.txt", _METRICS)


def _page(is_2_4: bool, frontend: dict[str, Any] | None) -> str:
    given = frontend or {}
    scripts = []
    if is_2_4 and given.get("plausible"):  # the newer FlowFuse no longer injects it
        domain = given["plausible"]["domain"]
        scripts.append(f'<script defer data-domain="{domain}" src="https://plausible.io/js/plausible.js"></script>')
    if "apikey" in given.get("posthog", {}):
        options = {"api_host": POSTHOG["apiurl"], "cookieless_mode": "on_reject", "capture_pageview": False}
        if is_2_4:
            del options["cookieless_mode"]
        call = f"posthog.init('{POSTHOG['apikey']}', {json.dumps(options)})"
        scripts.append(f"<script>\n{_POSTHOG_STUB}\n{call}\n</script>")
    if given.get("google"):
        scripts.append("<script>window.loadGoogle = function () {}</script>")
    if given.get("sentry"):
        version = "2.4.0" if is_2_4 else "2.33.2"
        scripts.append(
            f'<script>window.sentryConfig = {{ dsn: "{SENTRY["dsn"]}", production_mode: false, '
            f'version: "flowfuse@{version}", environment: "unknown" }}</script>'
        )
    place = _PLACE if frontend is None else "".join(scripts)
    return (_PAGE_2_4 if is_2_4 else _PAGE_2_33).format(place)


def _header(name: str, frontend: dict[str, Any]) -> str:
    """FlowFuse opens its policy to the services by their clouds' hosts, whatever address is configured."""
    if name.endswith("-csp-off"):
        return "(no CSP header)"
    script, connect = [], []
    if frontend.get("plausible"):
        script.append("plausible.io")
    if "apikey" in frontend.get("posthog", {}):
        host = "127.0.0.1:9079" if name.startswith("v2.4.0") else "*.posthog.com"
        script.append(host)
        connect.append(host)
    if frontend.get("google"):
        script.append("www.googletagmanager.com")
        connect.append("google.com")
    if frontend.get("sentry"):
        connect.append("*.ingest.sentry.io")
    directives = {
        "default-src": ["'self'"],
        "script-src": ["'self'", "'unsafe-inline'", "'unsafe-eval'", *script],
        "connect-src": ["'self'", *connect],
        "worker-src": ["'self'", "blob:"],
        "img-src": ["'self'", "data:"],
        "style-src": ["'self'", "'unsafe-inline'"],
        "object-src": ["'none'"],
    }
    if name.endswith(
        "-custom-directives"
    ):  # those that the file names replace FlowFuse's; its hosts are all that stays
        directives = {**directives, "script-src": script, "connect-src": connect}
        del directives["worker-src"]
    if name.endswith("-report-only"):
        directives["report-uri"] = ["http://127.0.0.1:9079/reports"]
    header = "content-security-policy" + ("-report-only" if name.endswith("-report-only") else "")
    return f"{header}: " + ";".join(" ".join([directive, *sources]) for directive, sources in directives.items())
