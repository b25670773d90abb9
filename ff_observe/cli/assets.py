"""`ff-observe assets`: the files that come with this version for Prometheus, Grafana, systemd and others."""

import argparse
import re
import shutil
from pathlib import Path
from typing import Final

from ff_observe.errors import FFObserveError
from ff_observe.system.installed_files import installed_directory

KINDS: Final = {
    "dashboards": ("grafana/dashboards", "Grafana's dashboards"),
    "dashboards-v2": ("grafana/dashboards-v2", "the same in Grafana's schema v2"),
    "rules": ("grafana/rules", "Prometheus' alert and recording rules"),
    "compose": ("deploy/compose", "the overlay of FlowFuse's docker-compose.yml"),
    "helm": ("deploy/helm", "the Helm chart"),
    "kubernetes": ("deploy/kubernetes", "plain manifests, and values for FlowFuse's chart"),
    "systemd": ("deploy/systemd", "systemd's units"),
    "patroni": ("deploy/patroni", "PostgreSQL that fails over, for the collector"),
    "haproxy": ("deploy/haproxy", "several collectors behind one address"),
    "completion": ("docs/completion", "completion for bash, zsh and fish"),
    "man": ("docs/man", "the manual page"),
}
"""Name → where the repository keeps them, and what they are. The wheel holds them in `ff_observe/assets`."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    listed = "\n".join(f"  {kind:13} {what}" for kind, (_, what) in KINDS.items())
    parser = commands.add_parser(
        "assets",
        help="print where dashboards, rules, units and charts are, or copy them",
        description="Prints the directory of each kind of file that comes with this version.",
        epilog=f"kinds:\n{listed}\n\nOf one kind its directory alone is printed: ls $(ff-observe assets rules)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", nargs="?", choices=tuple(KINDS), metavar="KIND", help="one kind; all by default")
    parser.add_argument("--copy", metavar="DIR", type=Path, help="copy each kind into a directory of DIR")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    for kind in [options.kind] if options.kind else KINDS:
        found = installed_directory(kind, KINDS[kind][0])
        if found is None:
            raise FFObserveError(f"this installation has no {kind}; was it copied without its data? Install the wheel")
        if options.copy is not None:
            found = _copy(found, options.copy / kind)
        print(found if options.kind else f"{kind:13} {found}")
    return 0


def _copy(source: Path, target: Path) -> Path:
    """Raises `FFObserveError` for the first of the files that could not be copied."""
    try:
        return shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
    except shutil.Error as error:
        (_, file, reason), *others = error.args[0]
        what = re.sub(r"\A\[Errno \d+\] ", "", reason).partition(": '")[0]
        more = f" (and {len(others)} more)" if others else ""
        raise FFObserveError(f"{file} cannot be written: {what}{more}") from None
