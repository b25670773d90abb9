"""The services a page may talk to, played on loopback for the real browser libraries: PostHog, Sentry, Plausible."""

import json
from pathlib import Path

from tests.real_parts import browser
from tests.real_parts.internet import Answer, Internet, Request, Site

EU_SENTRY = "o1.ingest.de.sentry.io"
# An address as configured → the host for events and the one for scripts.
POSTHOG_CLOUDS = {
    "https://app.posthog.com": ("us.i.posthog.com", "us-assets.i.posthog.com"),
    "https://eu.i.posthog.com": ("eu.i.posthog.com", "eu-assets.i.posthog.com"),
    "https://posthog.own.test/behind/a/path": ("posthog.own.test", "posthog.own.test"),
}
# A bundle of the page's own at this host starts Sentry, if the page configures it.
BUNDLE_HOST = "bundle.example.test"

# Plausible's own tracker, told its domain as the hosted script is: by the element that loads it.
PLAUSIBLE_SCRIPT = """
import Plausible from "plausible-tracker";
Plausible({domain: document.currentScript.dataset.domain}).trackPageview();
"""
# What FlowFuse's frontend does with window.sentryConfig (its bundle, `setupSentry`), and an error for it.
SENTRY_SCRIPT = """
import * as Sentry from "@sentry/browser";
const replay = Sentry.replayIntegration({minReplayDuration: 0});
window.flushReplay = function () { return replay.flush(); };
window.startSentry = function () {
  Sentry.init({dsn: window.sentryConfig.dsn, release: window.sentryConfig.version,
               environment: window.sentryConfig.environment, integrations: [replay],
               replaysSessionSampleRate: 1});
};
if (window.sentryConfig) { window.startSentry(); }
"""


# The configuration of a PostHog project, and what one adds that records its visitors, canvases and all.
_PROJECT = {"supportedCompression": ["gzip-js"], "hasFeatureFlags": False}
_RECORDED = {
    "sessionRecording": {"endpoint": "/s/", "recordCanvas": True, "canvasFps": 4, "canvasQuality": "0.4"},
    "capturePerformance": {"web_vitals": True},
    "autocaptureExceptions": True,
    "captureDeadClicks": True,
    "heatmaps": True,
}


def play(web: Internet, libraries: Path, directory: Path) -> None:
    """Let `web` answer for all of them; scripts are built in `directory`."""
    tracker = browser.bundle(PLAUSIBLE_SCRIPT, libraries, directory / "plausible")
    sentry = browser.bundle(SENTRY_SCRIPT, libraries, directory / "sentry")
    for events, assets in POSTHOG_CLOUDS.values():
        web.sites[events] = web.sites[assets] = _posthog(libraries)
    web.sites["plausible.io"] = lambda request: (
        Answer(tracker, "text/javascript") if request.path == "/js/plausible.js" else Answer(b"ok")
    )
    web.sites[EU_SENTRY] = lambda request: Answer(b"{}")
    web.sites[BUNDLE_HOST] = lambda request: Answer(sentry, "text/javascript")


def _posthog(libraries: Path) -> Site:
    def site(request: Request) -> Answer | None:
        path = request.path.split("?")[0]
        if "/static/" in path:
            file = libraries / "posthog-js" / "dist" / path.rsplit("/", 1)[-1]
            return Answer(file.read_bytes(), "text/javascript") if file.is_file() else None
        if path.endswith("/config"):
            return Answer(json.dumps({**_PROJECT, **(_RECORDED if "/phc_recorded/" in path else {})}).encode())
        return Answer(b'{"status":1,"featureFlags":{}}') if request.method != "GET" else None

    return site


def captured(web: Internet, host: str) -> list[str]:
    """The names of the events PostHog's capture endpoint was sent."""
    names = []
    for request in web.to(host):
        if request.method == "POST" and "/e/" in request.path:
            sent = request.json()
            names += [event["event"] for event in (sent if isinstance(sent, list) else sent.get("batch", [sent]))]
    return names


def wait_for_event(web: Internet, host: str, name: str) -> None:
    web.wait_for(lambda request: name in captured(web, host), f"{name} at {host}")
