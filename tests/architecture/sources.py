"""The package's source as the architecture tests look at it: modules, their syntax trees, what they import."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import ff_observe

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(ff_observe.__file__).resolve().parent
"""In the repository, or where the wheel that is tested was installed."""


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def place(self) -> str:
        return str(self.path.relative_to(PACKAGE.parent))

    def imports(self) -> Iterator[tuple[str, int]]:
        """Absolute names of what is imported, inside functions and for types too, with the line."""
        yield from self._imported(ast.walk(self.tree))

    def loads(self) -> Iterator[tuple[str, int]]:
        """As `imports`, but only what is imported when the module is: at its top."""
        yield from self._imported(self.tree.body)

    def bound(self) -> Iterator[tuple[str, str, int]]:
        """What the imports at the top bind: the name in this module, what it stands for, and the line."""
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield alias.asname or alias.name, f"{node.module}.{alias.name}", node.lineno

    def _imported(self, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.place}:{node.lineno}: imports are absolute"
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield (inner if inner in names() else str(node.module)), node.lineno


@cache
def modules() -> tuple[Module, ...]:
    """Every module of `ff_observe`."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found.append(Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return tuple(found)


@cache
def names() -> frozenset[str]:
    """The dotted names of all modules."""
    return frozenset(module.name for module in modules())


def is_within(name: str, package: str) -> bool:
    """Whether `name` is `package` or something in it."""
    return name == package or name.startswith(f"{package}.")
