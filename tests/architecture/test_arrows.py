"""Who may import whom. The picture is in ARCHITECTURE.md; the direction of its arrows is enforced here."""

import pytest

from tests.architecture.sources import Module, is_within, modules

P = "ff_observe"
GROUND = (f"{P}.errors", f"{P}.system", f"{P}.version")
"""What everything else may stand on, but for the catalogue."""

BELOW_TELEMETRY = tuple(f"{P}.{name}" for name in ("catalogue", "config", "system", "transparency"))
"""What neither logs nor measures."""

FACE = (f"{P}.version", f"{P}.errors", f"{P}.config", f"{P}.running.bridge")
"""What the package itself offers to those who use it as a library."""

SENDING = ("outputs", "web")
LIFE = (f"{P}.lifecycle",)
EDGE = (f"{P}.http", f"{P}.exposition")
READINGS = (
    *(f"{P}.platform.{name}" for name in ("snapshot", "snapshots", "sources.model", "sources.locks")),
    f"{P}.catalogue",
)

ARROWS: dict[str, tuple[str, ...]] = {
    f"{P}.catalogue": (),
    f"{P}.transparency": (),
    f"{P}.config": (f"{P}.transparency.notes",),
    f"{P}.system": (),
    f"{P}.telemetry": (f"{P}.catalogue", f"{P}.config.secret", f"{P}.system"),
    f"{P}.lifecycle": (),
    f"{P}.delivery": (),
    f"{P}.platform.sources": (f"{P}.catalogue", f"{P}.config", f"{P}.delivery.trust"),
    f"{P}.platform": (f"{P}.catalogue", f"{P}.config", f"{P}.exposition.backfill", *LIFE),
    f"{P}.http": (),  # serves whatever it is given
    f"{P}.exposition": (f"{P}.http", f"{P}.catalogue.model"),
    f"{P}.outputs": (
        *READINGS,
        f"{P}.delivery",
        f"{P}.platform.sources.schema",  # FlowFuse's names of the tables that the ping is counted from
        f"{P}.exposition",
        f"{P}.transparency",
        f"{P}.config",
        f"{P}.frontend.services",  # what a visitor's browser contacts
        *LIFE,
    ),
    f"{P}.problems": (*READINGS, f"{P}.platform.limits", f"{P}.config", f"{P}.outputs"),
    f"{P}.doctor": (
        *(f"{P}.problems", f"{P}.outputs", f"{P}.config", f"{P}.platform", f"{P}.delivery"),
        *(f"{P}.web.local", f"{P}.web.server", f"{P}.web.web_config", *LIFE),
    ),
    f"{P}.egress": (*READINGS, f"{P}.config", f"{P}.outputs", f"{P}.delivery", f"{P}.source_maps"),
    f"{P}.web": (
        *(*READINGS, *EDGE, f"{P}.config", f"{P}.outputs", f"{P}.problems", f"{P}.platform.limits", f"{P}.egress"),
        *LIFE,
    ),
    f"{P}.frontend": (f"{P}.config",),
    f"{P}.source_maps": (f"{P}.config", f"{P}.frontend"),  # both must agree on the release
    f"{P}.collector": (
        *(f"{P}.transparency", f"{P}.catalogue", *EDGE),
        *(f"{P}.config.secret", f"{P}.delivery"),
        # collector.yml is read by the reader of every configuration file; what FlowFuse's file says stays unknown here.
        *(f"{P}.config.{name}" for name in ("key", "kind", "kinds", "known_keys", "nodes", "reader", "reading")),
        *LIFE,
    ),
    f"{P}.generate": (
        f"{P}.catalogue",
        f"{P}.config",
        f"{P}.egress",
        f"{P}.outputs",
        f"{P}.collector.openapi",
        *(f"{P}.collector.settings", f"{P}.web.web_config"),  # the keys of their files
        f"{P}.web.status.document",
        f"{P}.cli",  # the manual page is made from its parser
    ),
    f"{P}.demo": (f"{P}.config", f"{P}.platform.sources.schema", *LIFE),
    f"{P}.running.wiring": (P,),
    f"{P}.running": (
        *READINGS,
        f"{P}.config",
        f"{P}.http",
        f"{P}.outputs",
        f"{P}.platform",
        f"{P}.web",
        *LIFE,
    ),
    f"{P}.cli": (P,),
    f"{P}.__main__": (f"{P}.cli",),
}
"""Package → what it may import of ours, besides itself and the ground. Only `wiring` and `cli` may import anything."""


def allowed(name: str) -> tuple[str, ...] | None:
    """What the module `name` may import of ours; None if nobody has said."""
    if name == P:
        return FACE
    if name in GROUND:
        return (name,)
    for package, others in ARROWS.items():
        if is_within(name, package):
            ground = () if package == f"{P}.catalogue" else GROUND
            return (package, *others, *ground, *(() if package in BELOW_TELEMETRY else (f"{P}.telemetry",)))
    return None


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_arrows_point_one_way(module: Module) -> None:
    others = allowed(module.name)
    assert others is not None, f"{module.place}: say in ARROWS what this package may import"
    for target, line in module.imports():
        if is_within(target, P):
            assert any(is_within(target, other) for other in others), f"{module.place}:{line}: imports {target}"


def test_no_arrows_go_round() -> None:
    """Modules that need each other to be loaded are one module, or one of them is in the wrong place."""
    arrows = {module.name: {name for name, _ in module.loads() if name != module.name} for module in modules()}
    unresolved = {name: {other for other in others if other in arrows} for name, others in arrows.items()}
    while settled := {name for name, others in unresolved.items() if not others}:
        unresolved = {name: others - settled for name, others in unresolved.items() if name not in settled}
    assert unresolved == {}


def test_only_the_wiring_and_the_command_line_know_everything() -> None:
    assert [package for package, others in ARROWS.items() if P in others] == [f"{P}.running.wiring", f"{P}.cli"]


@pytest.mark.parametrize("target", [f"{P}.running.wiring", f"{P}.cli"])
def test_what_knows_everything_is_known_by_few(target: str) -> None:
    may = {
        f"{P}.running.wiring": (f"{P}.running", f"{P}.cli"),
        f"{P}.cli": (f"{P}.cli", f"{P}.__main__", f"{P}.generate.documents"),
    }[target]
    for module in modules():
        if any(is_within(name, target) for name, _ in module.imports()):
            assert module.name == P or any(is_within(module.name, one) for one in may if one != P), module.place


def test_the_receiving_end_knows_nothing_of_the_sending_one() -> None:
    for module in modules():
        if is_within(module.name, f"{P}.collector"):
            sending = [name for name, _ in module.imports() if any(is_within(name, f"{P}.{end}") for end in SENDING)]
            assert not sending, module.place
