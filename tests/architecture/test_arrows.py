"""Who may import whom. The picture is in ARCHITECTURE.md; the direction of its arrows is enforced here."""

import pytest

from tests.architecture.sources import Module, is_within, modules

P = "ff_observe"
GROUND = (
    *(f"{P}.clock", f"{P}.errors", f"{P}.log", f"{P}.platform_context"),
    *(f"{P}.presence", f"{P}.tracing", f"{P}.trusted_path", f"{P}.version"),
)
"""What everything else may stand on."""

FACE = (f"{P}.version", f"{P}.errors", f"{P}.config", f"{P}.bridge")
"""What the package itself offers to those who use it as a library."""

SENDING = ("outputs", "web")
LIFE = (f"{P}.service", f"{P}.periodic", f"{P}.workers")
EDGE = (f"{P}.http", f"{P}.exposition")
READINGS = (
    *(f"{P}.platform.{name}" for name in ("snapshot", "snapshots", "sources.model", "sources.locks")),
    *(f"{P}.catalogue", f"{P}.self_metrics"),
)

ARROWS: dict[str, tuple[str, ...]] = {
    f"{P}.catalogue": (),
    f"{P}.transparency": (),
    f"{P}.config": (f"{P}.transparency.notes",),
    f"{P}.service": (),
    f"{P}.workers": (),
    f"{P}.periodic": (f"{P}.workers",),
    f"{P}.ping_contract": (f"{P}.catalogue",),
    f"{P}.process_metrics": (f"{P}.catalogue",),
    f"{P}.self_metrics": (f"{P}.catalogue", f"{P}.process_metrics", f"{P}.platform.sources.model"),
    f"{P}.escapes": (),
    f"{P}.redaction": (f"{P}.config.secret", f"{P}.escapes"),
    f"{P}.sentry_names": (),
    f"{P}.delivery": (),
    f"{P}.platform.sources": (f"{P}.catalogue", f"{P}.config", f"{P}.delivery.trust"),
    f"{P}.platform": (f"{P}.catalogue", f"{P}.config", f"{P}.self_metrics", *LIFE),
    f"{P}.history": (f"{P}.catalogue", f"{P}.platform.sources", f"{P}.exposition.backfill"),
    f"{P}.audit_state": (f"{P}.catalogue", f"{P}.platform.audit_counters", f"{P}.outputs.ping.ledger_files"),
    f"{P}.http": (),  # serves whatever it is given
    f"{P}.exposition": (f"{P}.http", f"{P}.catalogue.model"),
    f"{P}.outputs": (
        *READINGS,
        f"{P}.delivery",
        f"{P}.platform.sources.schema",  # FlowFuse's names of the tables that the ping is counted from
        f"{P}.exposition",
        f"{P}.ping_contract",
        f"{P}.transparency",
        f"{P}.config",
        f"{P}.redaction",
        f"{P}.sentry_names",
        f"{P}.frontend.services",  # what a visitor's browser contacts
        *LIFE,
    ),
    f"{P}.problems": (*READINGS, f"{P}.limits", f"{P}.config", f"{P}.outputs", f"{P}.redaction"),
    f"{P}.doctor": (
        *(f"{P}.problems", f"{P}.outputs", f"{P}.config", f"{P}.platform", f"{P}.delivery"),
        *(f"{P}.web.server", f"{P}.web.web_config", f"{P}.workers"),
    ),
    f"{P}.egress": (*READINGS, f"{P}.config", f"{P}.outputs", f"{P}.delivery", f"{P}.source_maps"),
    f"{P}.limits": (*READINGS,),
    f"{P}.web": (
        *(*READINGS, *EDGE, f"{P}.config", f"{P}.outputs", f"{P}.problems", f"{P}.limits", f"{P}.ping_contract"),
        *(f"{P}.egress", f"{P}.installed_files"),
        *LIFE,
    ),
    f"{P}.installed_files": (),
    f"{P}.frontend": (f"{P}.config", f"{P}.sentry_names"),
    f"{P}.source_maps": (f"{P}.config", f"{P}.frontend"),  # both must agree on the release
    f"{P}.collector": (
        *(f"{P}.ping_contract", f"{P}.transparency", f"{P}.catalogue", f"{P}.process_metrics", *EDGE),
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
        f"{P}.ping_contract",
        f"{P}.collector.openapi",
        *(f"{P}.collector.settings", f"{P}.web.web_config"),  # the keys of their files
        f"{P}.web.status.document",
        f"{P}.cli",  # the manual page is made from its parser
    ),
    f"{P}.demo": (f"{P}.config", f"{P}.platform.sources.schema", *LIFE),
    f"{P}.wiring": (P,),
    f"{P}.running_platform": (
        *(f"{P}.wiring", *READINGS, f"{P}.redaction", f"{P}.config", f"{P}.http", f"{P}.outputs", *LIFE),
        f"{P}.web.status.memory",
    ),
    f"{P}.running_platforms": (
        *(f"{P}.wiring", f"{P}.running_platform", f"{P}.config", f"{P}.http", f"{P}.web", *LIFE),
    ),
    f"{P}.bridge": (
        *(f"{P}.wiring", f"{P}.running_platform", f"{P}.running_platforms", *READINGS, f"{P}.config"),
        *(f"{P}.http", f"{P}.outputs", f"{P}.web", *LIFE),
    ),
    f"{P}.cli": (P,),
    f"{P}.__main__": (f"{P}.cli",),
}
"""Package → what it may import of ours, besides itself and the ground. Only `wiring` and `cli` may import anything."""


def allowed(name: str) -> tuple[str, ...] | None:
    """What the module `name` may import of ours; None if nobody has said."""
    if name == P:
        return FACE
    if name == f"{P}.log":
        # What is logged is redacted on the way, and says which trace it belongs to.
        return (name, f"{P}.redaction", f"{P}.config.secret", f"{P}.tracing", f"{P}.platform_context")
    if name == f"{P}.tracing":
        return (name, f"{P}.platform_context")
    if name in GROUND:
        return (name,)
    for package, others in ARROWS.items():
        if is_within(name, package):
            return (package, *others, *(() if package == f"{P}.catalogue" else GROUND))
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
    assert [package for package, others in ARROWS.items() if P in others] == [f"{P}.wiring", f"{P}.cli"]


@pytest.mark.parametrize("target", [f"{P}.wiring", f"{P}.cli"])
def test_what_knows_everything_is_known_by_few(target: str) -> None:
    may = {
        f"{P}.wiring": (f"{P}.wiring", f"{P}.running_platform", f"{P}.running_platforms", f"{P}.bridge", f"{P}.cli"),
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
