"""Which fields of which classes the package reads, as far as annotations say what an expression is.

No type checker: an expression counts as of every class that its annotation mentions, whatever holds it (`X | None`,
`tuple[X, ...]`). Names and attributes get their classes from parameters and from what is assigned to them.
"""

import ast
import re
from collections import ChainMap, defaultdict
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, get_args, get_type_hints

Names = MutableMapping[str, frozenset[str]]
_NONE: frozenset[str] = frozenset()


class Uses:
    """Of the `wanted` classes and all others that `trees` define, by their names."""

    def __init__(self, trees: Iterable[ast.Module], wanted: Iterable[type]) -> None:
        self._attributes: defaultdict[tuple[str, str], frozenset[str]] = defaultdict(frozenset)
        self._returned: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
        self._scopes: list[tuple[list[ast.AST], Names]] = []
        self._grew = True
        trees = list(trees)
        self._classes = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        for one in wanted:
            for name, hint in get_type_hints(one).items():
                self._attributes[one.__name__, name] = frozenset(self._in_hint(hint))
        for tree in trees:
            self._declare(tree.body, {}, "")
        while self._grew:
            self._grew = False
            for nodes, names in self._scopes:
                for node in nodes:
                    self._assign(node, names)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The names of a class and of an attribute that is read of it."""
        for nodes, names in self._scopes:
            for node in nodes:
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    yield from ((one, node.attr) for one in self._of(node.value, names))

    def _in_hint(self, hint: Any) -> Iterator[str]:
        if isinstance(hint, type) and hint.__name__ in self._classes:
            yield hint.__name__
        for inner in get_args(hint):
            yield from self._in_hint(inner)

    def _mentioned(self, annotation: ast.expr | None) -> frozenset[str]:
        words = () if annotation is None else re.findall(r"\w+", ast.unparse(annotation))
        return frozenset(self._classes.intersection(words))

    def _declare(self, body: list[ast.stmt] | list[ast.expr], names: Names, of_class: str) -> None:
        nodes: list[ast.AST] = []
        left: list[ast.AST] = [*body]
        while left:
            node = left.pop()
            if isinstance(node, ast.ClassDef):
                self._declare(node.body, names, node.name)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._returned[node.name] |= self._mentioned(node.returns)
                parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                inner = {each.arg: self._mentioned(each.annotation) for each in parameters}
                if of_class and "self" in inner:
                    inner["self"] = frozenset({of_class})
                self._declare(node.body, ChainMap(inner, names), of_class)
            else:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and of_class:
                    self._attributes[of_class, node.target.id] |= self._mentioned(node.annotation)
                nodes.append(node)
                left.extend(ast.iter_child_nodes(node))
        self._scopes.append((nodes, names))

    def _assign(self, node: ast.AST, names: Names) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                pass
            case ast.NamedExpr(target=target, value=value) | ast.For(target=target, iter=value):
                targets = [target]
            case ast.comprehension(target=target, iter=value) | ast.withitem(context_expr=value, optional_vars=target):
                targets = [] if target is None else [target]
            case _:
                return
        found = self._of(value, names)
        for target in targets:
            for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(each, ast.Name) and not found <= names.get(each.id, _NONE):
                    names[each.id] = names.get(each.id, _NONE) | found
                    self._grew = True
                elif isinstance(each, ast.Attribute):
                    for one in self._of(each.value, names):
                        if not found <= self._attributes[one, each.attr]:
                            self._attributes[one, each.attr] |= found
                            self._grew = True

    def _of(self, value: ast.expr, names: Names) -> frozenset[str]:
        """The classes that an expression may be of."""
        match value:
            case ast.Name(id=name):
                return names.get(name, _NONE)
            case ast.Attribute(value=inner, attr=name):
                return _NONE.union(*(self._attributes[one, name] for one in self._of(inner, names)))
            case ast.Call(func=ast.Name(id=name)) if name in self._classes:
                return frozenset({name})
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments):
                if name in self._returned:
                    return self._returned[name]
                return _NONE.union(*(self._of(each, names) for each in arguments))  # dataclasses.replace, sorted
            case ast.Tuple(elts=inner) | ast.BoolOp(values=inner):
                return _NONE.union(*(self._of(each, names) for each in inner))
            case ast.Await(value=each) | ast.Subscript(value=each):
                return self._of(each, names)
        return _NONE
