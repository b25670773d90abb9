"""Every environment variable that the code reads is in docs/configuration.md, and every one there is read."""

import ast
import re
from collections.abc import Iterator

from ff_observe.generate.configuration_reference import ENVIRONMENT_VARIABLES
from tests.architecture.sources import is_within, modules

READ_BY_LIBRARIES = {
    *("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"),  # the standard library: urllib.request.getproxies
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),  # OpenSSL
}
_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")


def constants() -> dict[str, str]:
    """The string constants of all modules, by name."""
    found = {}
    for module in modules():
        for node in module.tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[target.id] = value.value
    return found


def looked_up() -> Iterator[tuple[str, str]]:
    """Names of variables that are looked up in a mapping, with the place: `variables.get("NAME")` and the like."""
    named = constants()
    for module in modules():
        if is_within(module.name, "ff_observe.generate"):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                argument = node.args[0] if node.args else None
                of = ast.unparse(node.func.value)
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                argument, of = node.slice, ast.unparse(node.value)
            else:
                continue
            if not re.fullmatch(r"os\.environ|variables|environment|\w*variables", of):
                continue
            if isinstance(argument, ast.Name):
                name = named.get(argument.id, "")
            else:
                name = str(argument.value) if isinstance(argument, ast.Constant) else ""
            if _NAME.fullmatch(name):
                yield name, f"{module.place}:{node.lineno}"


def documented() -> set[str]:
    return {name for names, _ in ENVIRONMENT_VARIABLES for name in names.split(", ")}


def test_every_variable_that_is_read_is_documented() -> None:
    missing = {
        name: place
        for name, place in looked_up()
        if not any(re.fullmatch(listed.replace("*", ".*"), name) for listed in documented())
    }
    assert missing == {}, "ff_observe/generate/configuration_reference.py: add these to ENVIRONMENT_VARIABLES"


def test_every_documented_variable_is_read() -> None:
    text = "\n".join(module.text for module in modules() if not is_within(module.name, "ff_observe.generate"))
    listed = {name.partition("*")[0].rstrip("_") for name in documented()} - READ_BY_LIBRARIES
    prefixes = {"FF_OBSERVE_TELEMETRY", "FF_OBSERVE_DB"}  # made from the keys: config.key
    assert {name for name in listed - prefixes if not re.search(rf"\b{name}(?:\b|_)", text)} == set()
