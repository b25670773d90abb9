"""The declared keys → `docs/configuration.md`."""

from collections.abc import Iterable
from typing import Any

from ff_observe.config.declaration import IGNORED_KEYS, PLATFORM_KEYS, TELEMETRY_KEYS, Key

_HEAD = """\
<!-- Generated from ff_observe/config/declaration.py: change it there, then `make generate`. -->
# Configuration

ff-observe reads FlowFuse's own file, as FlowFuse reads it: `HOME/etc/flowforge.local.yml` if it exists, else
`HOME/etc/flowforge.yml`, where `HOME` is `--home`, else `$FLOWFORGE_HOME`, else `/opt/flowforge` if it exists, else the
current directory. `ff-observe check` says whether the file is valid, and which outputs are on and why.

- The file is YAML 1.2: only `true` and `false` are booleans. `no` and `off` are strings, which FlowFuse takes for *on*
  in `telemetry.enabled`; ff-observe refuses them and says what to write.
- `<%= ENV['NAME'] %>` stands for an environment variable, as in FlowFuse's Helm chart. No other ERB is understood.
- A secret can stand in a file of its own, named by the key with `_file` at its end (`license_file`); the path is
  relative to `HOME/etc`, and line breaks at the end of the file are dropped. Secrets are never shown.
- Every problem is reported at once, with line, column and key. Unknown keys inside `telemetry` are warnings on `run`
  and errors on `check`; the rest of the file belongs to FlowFuse.
"""


def configuration_reference() -> str:
    """The whole page, in Markdown."""
    ignored = ", ".join(f"`{path}`" for path in IGNORED_KEYS)
    return "\n".join(
        (
            _HEAD,
            "## Inside `telemetry`\n",
            *_table(TELEMETRY_KEYS),
            f"\nFlowFuse's own, accepted and not used: {ignored}.\n",
            "## The rest of the file, as far as it is read\n",
            *_table(PLATFORM_KEYS),
            "",
        )
    )


def _table(keys: Iterable[Key[Any]]) -> Iterable[str]:
    yield "| key | value | default | |"
    yield "| --- | --- | --- | --- |"
    for key in keys:
        names = f"`{key.path}`" + (" or `…_file`" if key.file else "")
        marks = " Secret." if key.secret else ""
        yield f"| {names} | {key.kind.name} | {_default(key.default)} | {key.help}{marks} |"


def _default(text: str) -> str:
    """Defaults that are values, not words about one, are set as code."""
    is_prose = "`" in text or " " in text or text in ("off", "none", "found")
    return text if is_prose else f"`{text}`"
