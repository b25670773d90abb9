"""What an import gives, and what it loads on the way."""

import re
from graphlib import CycleError, TopologicalSorter

import pytest

import ff_observe.outputs.otlp
from tests.architecture.sources import Module, is_within, modules, names

OTLP = "ff_observe.outputs.otlp"
OTLP_LIBRARIES = ("opentelemetry", "google", "grpc", "requests")


@pytest.mark.parametrize("package", [m for m in modules() if m.path.name == "__init__.py"], ids=lambda m: m.name)
def test_no_package_hides_a_module_behind_something_of_the_same_name(package: Module) -> None:
    """Else `import ff_observe.x.y as y` gives a function, and a patch of `ff_observe.x.y.z` finds no module."""
    for name, target, line in package.bound():
        module = f"{package.name}.{name}"
        assert module not in names() or module == target, f"{package.place}:{line}: rename the module {name}, or this"


def test_imports_have_no_circle() -> None:
    """Those within functions, and for types alone, included."""
    graph = {
        module.name: {name for name, _ in module.imports() if name in names() and name != module.name}
        for module in modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_modules_of_otlp_that_load_no_library_are_those_it_names() -> None:
    described = (ff_observe.outputs.otlp.__doc__ or "").partition(" load nothing but ")[0]
    of_otlp = {module.name: module for module in modules() if is_within(module.name, OTLP) and module.name != OTLP}
    light = {name for name, module in of_otlp.items() if not libraries(module, set())}
    assert set(re.findall(r"`(\w+)`", described)) == {name.removeprefix(f"{OTLP}.") for name in light}


def libraries(module: Module, visited: set[str]) -> set[str]:
    """Which of the libraries loading `module` loads."""
    by_name = {each.name: each for each in modules()}
    found = set()
    for target, _ in module.loads():
        if target.partition(".")[0] in OTLP_LIBRARIES:
            found.add(target)
        elif target in by_name and target not in visited:
            visited.add(target)
            found |= libraries(by_name[target], visited)
    return found
