"""What the package uses of its dependencies, held against their bounds in `pyproject.toml`."""

import ast
import re
import tomllib
from functools import cache
from itertools import chain

import pytest

from tests.architecture.sources import Module, modules
from tests.deployment import locks
from tests.recordings import ROOT

INTERNALS = {
    "prometheus-client": (
        *("prometheus_client.metrics_core", "prometheus_client.openmetrics.exposition"),
        *("prometheus_client.samples", "prometheus_client.utils"),
    ),
    "opentelemetry-sdk": ("opentelemetry.sdk._logs", "_receive_metrics"),
    "opentelemetry-exporter-otlp-proto-http": ("_log_exporter",),
    "opentelemetry-exporter-otlp-proto-grpc": ("_initialize_channel_and_stub",),
    "sentry-sdk": ("_make_pool", "_send_envelope", "_request", "_auth"),
    "urllib3": ("_new_conn",),
    "requests": ("build_connection_pool_key_attributes", "cert_verify"),
}
"""Distribution → what of it is ours to lose with any release: subclassed, overridden or imported, and not promised."""

OF_IMPORT = {
    "prometheus_client": "prometheus-client",
    "opentelemetry": "opentelemetry-sdk",
    "sentry_sdk": "sentry-sdk",
    "yaml": "pyyaml",
    "jwt": "pyjwt",
    "google": "opentelemetry-exporter-otlp-proto-http",  # protobuf, which the messages of OTLP are made of
    "grpc": "opentelemetry-exporter-otlp-proto-grpc",
    "cryptography": "pyjwt",
}
"""Names that are imported, where the distribution is called otherwise or brings them."""


@cache
def bounds() -> dict[str, str]:
    """The version specifiers of all that is installed for the package and its extras, by distribution."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *chain.from_iterable(extras.values())]
    found = (re.match(r"([A-Za-z0-9-]+)(?:\[\w+\])?([^;]*)", each) for each in listed)
    return {match[1]: match[2].strip() for match in found if match}


def third_party(module: Module) -> dict[str, str]:
    """The names that a module imports from other distributions, and from where."""
    found: dict[str, str] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
        elif isinstance(node, ast.Import):
            found.update({alias.asname or alias.name: alias.name for alias in node.names})
    return {name: place for name, place in found.items() if distribution(place) in bounds()}


def distribution(place: str) -> str:
    top = place.partition(".")[0]
    return OF_IMPORT.get(top, top)


@pytest.mark.parametrize("name", sorted(INTERNALS))
def test_a_library_whose_internals_are_used_has_an_upper_bound(name: str) -> None:
    assert re.fullmatch(r">=[\d.]+,<[\d.]+", bounds()[name]), bounds()[name]


@pytest.mark.parametrize("name", sorted(bounds()))
def test_every_dependency_has_a_lower_bound_and_the_pin_keeps_to_it(name: str) -> None:
    from packaging.specifiers import SpecifierSet

    assert ">=" in bounds()[name]
    assert locks.pinned(locks.ALL)[name] in SpecifierSet(bounds()[name])


@pytest.mark.parametrize("name", sorted(INTERNALS))
def test_each_internal_that_is_listed_is_used(name: str) -> None:
    text = "\n".join(module.text for module in modules())
    assert [internal for internal in INTERNALS[name] if not re.search(rf"\b{re.escape(internal)}\b", text)] == []


def test_no_other_internal_is_used() -> None:
    """Private modules that are imported, and private methods of a library's class that are overridden."""
    unlisted: list[str] = []
    for module in modules():
        names = third_party(module)
        for name, place in names.items():
            private = [part for part in place.split(".") if part.startswith("_")]
            if private and place != "opentelemetry._logs.LogRecord" and not _listed(place, private[0]):
                unlisted.append(f"{module.place}: {name}: {place}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                base = next((names[ast.unparse(b)] for b in node.bases if ast.unparse(b) in names), None)
                for method in node.body if base else ():
                    if isinstance(method, ast.FunctionDef) and re.match("_(?!_)", method.name):
                        assert base is not None
                        if not _listed(base, method.name) and _overrides(base, method.name):
                            unlisted.append(f"{module.place}: {node.name}.{method.name} of {base}")
    assert unlisted == []


def _listed(place: str, internal: str) -> bool:
    listed = INTERNALS.get(distribution(place), ())
    return any(internal in each.split(".") or each.startswith(f"{place.partition('._')[0]}._") for each in listed)


def _overrides(place: str, method: str) -> bool:
    import importlib

    module, _, name = place.rpartition(".")
    return hasattr(getattr(importlib.import_module(module), name, None), method)
