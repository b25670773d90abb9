"""`docs/configuration.md`: every key of `flowforge.yml` that is read, and every environment variable."""

from collections.abc import Iterable
from typing import Any

from ff_observe.config.declaration import IGNORED_KEYS, PLATFORM_KEYS, TELEMETRY_KEYS, Key
from ff_observe.generate.markdown import document, table

ENVIRONMENT_VARIABLES: tuple[tuple[str, str], ...] = (
    ("FLOWFORGE_HOME", "FlowFuse's home, where `--home` does not name it."),
    ("SENTRY_ENV", "Environment that backend Sentry and OTLP report."),
    ("NODE_ENV", "That environment where `SENTRY_ENV` is not set; without both it is `unknown`."),
    ("FF_TELEMETRY_DISABLED", "Any value, `0` and `false` among them, stops the ping, on licensed platforms too."),
    ("DO_NOT_TRACK", "Stops the ping of an unlicensed platform, unless it is `0` or `false`."),
    ("FF_OBSERVE_FLOWFUSE_VERSION", "FlowFuse's version, where it cannot be found (containers)."),
    ("FF_OBSERVE_NODEJS_VERSION", "Version of the Node.js that runs FlowFuse, where it cannot be found."),
    ("OTEL_*", "As OpenTelemetry's specification of environment variables says."),
    ("HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "Proxies for everything that leaves."),
)

_INTRODUCTION = """\
# Configuration

ff-observe reads FlowFuse's own file: `HOME/etc/flowforge.local.yml` if it exists, else `HOME/etc/flowforge.yml`, where
`HOME` is the directory given with `--home`, else `$FLOWFORGE_HOME`, else `/opt/flowforge` if it exists, else the
current directory. `--config FILE` names another file.

The file is read as FlowFuse reads it, by YAML 1.2: only `true` and `false` are booleans (`no` and `off` are strings),
and a key given twice is an error. The Helm chart's form `<%= ENV['NAME'] %>` is replaced by the variable `NAME`.

`ff-observe check` says whether the file is valid, and which output is on and why."""

_TELEMETRY = """\
## `telemetry`

A value of the wrong type is an error that names file, line and key, and says what to write. An unknown key is a warning
in `run` and an error in `check`. Null and the empty string count as not set. Keys marked `_file` have a sibling of
that name that holds the path of a file with the value: `dsn_file: /run/secrets/dsn`. Values marked secret are never
shown."""

_PLATFORM = """\
## The rest of the file

It belongs to FlowFuse. ff-observe reads these keys, each as FlowFuse takes it, and ignores all others."""

_ENVIRONMENT = """\
## Environment variables

An empty variable counts as not set."""


def render() -> str:
    """The text of the document."""
    ignored = "\n".join(f"- `{path}`" for path in IGNORED_KEYS)
    return document(
        "ff_observe/config/declaration.py",
        _INTRODUCTION,
        _TELEMETRY,
        _keys(TELEMETRY_KEYS),
        "FlowFuse's own, accepted with all that is below them, and not used:\n\n" + ignored,
        _PLATFORM,
        _keys(PLATFORM_KEYS),
        _ENVIRONMENT,
        table(("Variable", "Meaning"), ((f"`{name}`", meaning) for name, meaning in ENVIRONMENT_VARIABLES)),
    )


def _keys(keys: Iterable[Key[Any]]) -> str:
    return table(("Key", "Value", "Default", "Meaning"), (_row(key) for key in keys))


def _row(key: Key[Any]) -> tuple[str, str, str, str]:
    marks = ["secret"] if key.secret else []
    if key.file:
        marks.append("`_file`")
    value = f"{key.kind.name} ({', '.join(marks)})" if marks else key.kind.name
    return f"`{key.path}`", value, key.default, key.help
