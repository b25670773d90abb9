"""Consent: with `telemetry.frontend.consent: required` every other script waits for `window.ffObserve.consent()`."""

from typing import Final

# A page that knows the answer before it is parsed (from a cookie on the server, say) may set `window.ffObserve =
# {consented: true}` above these scripts: then nothing is held back.
_FUNCTION: Final = """function () {
  var known = window.ffObserve, waiting = [];
  function start(run) {
    try { run(); } catch (error) { setTimeout(function () { throw error; }); }
  }
  var hook = window.ffObserve = {
    consented: known ? known.consented === true : false,
    consent: function () {
      hook.consented = true;
      waiting.splice(0).forEach(start);
    },
    onConsent: function (run) { if (hook.consented) { start(run); } else { waiting.push(run); } }
  };
}"""

SNIPPET: Final = f"({_FUNCTION})();"


def held(body: str) -> str:
    """`body` as a script that runs once consent is given, or at once if it has been."""
    return f"window.ffObserve.onConsent(function () {{ {body} }});"
