"""The standard variables of OTLP, read as the OpenTelemetry specification defines them ("OpenTelemetry Protocol
Exporter", "Environment Variable Specification"): empty means unset, one for a signal wins over the general one. Errors
name the variable and, if it may hold a secret, not its value."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from ff_observe.config.kinds import is_header_name, is_header_value, is_http_url
from ff_observe.config.pem import problem_with_authority, problem_with_pair
from ff_observe.config.secret import Secret
from ff_observe.errors import ConfigurationError, Problem


class Variables:
    """Reads variables and collects every problem; `raise_problems` raises them all as one `ConfigurationError`."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._problems: dict[Problem, None] = {}  # each once: three signals read the same general variable

    def raise_problems(self) -> None:
        if self._problems:
            raise ConfigurationError(tuple(self._problems))

    def text(self, name: str) -> str:
        return self._values.get(name, "").strip()

    def of_signal(self, signal: str, name: str) -> tuple[str, str]:
        """Value and name of a variable that may be set for each signal; an empty value if neither is set."""
        own, general = f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", f"OTEL_EXPORTER_OTLP_{name}"
        return (self.text(own), own) if self.text(own) else (self.text(general), general)

    def word(self, signal: str, name: str, allowed: tuple[str, ...]) -> str:
        """One of a few words; empty if it is another."""
        text, variable = self.of_signal(signal, name)
        if text and text.lower() not in allowed:
            self._problem(variable, f"{text!r} is not supported; use {' or '.join(map(repr, allowed))}")
            return ""
        return text.lower()

    def seconds(self, variable: str) -> float | None:
        """A duration in seconds: the variable is in whole milliseconds."""
        text = self.text(variable)
        if not text:
            return None
        if not re.fullmatch("[0-9]{1,12}", text) or int(text) == 0:  # nothing waits for longer than those digits say
            allowed = "a whole number of milliseconds above 0, of at most 12 digits"
            self._problem(variable, f"must be {allowed}, such as 10000, and is {text!r}")
            return None
        return int(text) / 1000

    def authority(self, signal: str) -> Path | None:
        path, variable = self._path(signal, "CERTIFICATE")
        if path is not None:
            self._problem(variable, problem_with_authority(path))
        return path

    def certificate_and_key(self, signal: str) -> tuple[Path | None, Path | None]:
        """The client certificate and its key, for a receiver that asks for one."""
        certificate, variable = self._path(signal, "CLIENT_CERTIFICATE")
        key, _ = self._path(signal, "CLIENT_KEY")
        self._problem(variable, problem_with_pair(certificate, key))
        return certificate, key

    def _path(self, signal: str, name: str) -> tuple[Path | None, str]:
        text, variable = self.of_signal(signal, name)
        return (Path(text) if text else None), variable

    def headers(self, signal: str) -> dict[str, Secret]:
        """Headers by lower-case name: `name=value`, separated by commas, both percent-encoded."""
        text, variable = self.of_signal(signal, "HEADERS")
        headers: dict[str, Secret] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = pair.partition("=")
            name, value = unquote(name).strip().lower(), unquote(value).strip()
            if not equals or not is_header_name(name) or not is_header_value(value):
                self._problem(variable, "must be name=value, several separated by commas, special characters as %XX")
            else:
                headers[name] = Secret(value)
        return headers

    def endpoint(self, variable: str, *, without_scheme: bool) -> str:
        """A URL; with `without_scheme` also `host:port`."""
        text = self.text(variable)
        if text and not is_http_url(text) and not (without_scheme and "://" not in text):
            self._problem(variable, "must be a URL that begins with http:// or https:// and names a host")
            return ""
        return text

    def _problem(self, variable: str, message: str | None) -> None:
        if message is not None:
            self._problems[Problem("environment", 0, 0, variable, message)] = None
