"""`ff-observe egress`: every host that would be contacted, by whom, why, and what stops it."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from ff_observe.cli.files import write_exactly
from ff_observe.cli.options import settings_of

if TYPE_CHECKING:
    from ff_observe.egress.contact import Contact


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "egress",
        help="every host that would be contacted: by whom, why, with which data, and what stops it",
        description="Lists every host that ff-observe, FlowFuse, its visitors' browsers and a build would contact with "
        "these settings and this environment. It contacts none of them, unless --resolve is given.",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="answer as one JSON object")
    form.add_argument("--hosts", action="store_true", help="print host:port and who contacts it, one a line")
    form.add_argument(
        "--network-policy",
        choices=("kubernetes", "cilium"),
        nargs="?",
        const="kubernetes",
        help="print the NetworkPolicy of ff-observe's pods (default: kubernetes, which knows ports but no names)",
    )
    parser.add_argument(
        "--resolve",
        action="store_true",
        help="with --network-policy kubernetes: look the names up, and open only their present addresses",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ff_observe.egress.flowfuse import NOT_IN_THE_FILE, READ_FROM
    from ff_observe.egress.listing import contacts, of_bridge
    from ff_observe.errors import UsageError

    if options.resolve and options.network_policy != "kubernetes":
        raise UsageError("--resolve goes with --network-policy kubernetes")
    listed = contacts(settings_of(options))
    if options.network_policy is not None:
        from ff_observe.egress import policy

        own = of_bridge(listed)
        if options.network_policy == "cilium":
            write_exactly(policy.cilium(own))
        else:
            write_exactly(policy.kubernetes(own, policy.resolve if options.resolve else None))
    elif options.hosts:
        from ff_observe.egress.policy import hosts

        print("\n".join(hosts(listed)))
    elif options.json:
        answer = {
            "contacts": [asdict(contact) for contact in listed],
            "flowfuse_as_of": READ_FROM,
            "not_in_the_file": NOT_IN_THE_FILE,
        }
        print(options.redactor.text(json.dumps(answer, indent=2)))
    else:
        print(options.redactor.text("\n".join(_lines(listed, NOT_IN_THE_FILE, READ_FROM))))
    return 0


def _lines(listed: "tuple[Contact, ...]", besides: tuple[str, ...], release: str) -> list[str]:
    lines: list[str] = []
    for party in dict.fromkeys(contact.by for contact in listed):
        lines += ["", f"By {party}:"]
        for contact in listed:
            if contact.by is party:
                lines += ["", *_contact(contact)]
    return [
        *lines[1:],
        "",
        f"FlowFuse's calls are those of {release}. It contacts besides what its file does not name:",
        *(f"  {line}" for line in besides),
    ]


def _contact(contact: "Contact") -> list[str]:
    via = f" (the proxy to {contact.receiver})" if contact.receiver else ""
    nothing_leaves = ", on this machine" if contact.is_this_machine else ""
    product = "FlowFuse" if contact.source else "ff-observe"
    turned_on = ", ".join(filter(None, (contact.key, f"since {product} {contact.since}")))
    facts = {
        "when": contact.condition,
        "data": contact.data,
        "key": f"{turned_on}{f' ({contact.decided})' if contact.decided else ''}",
        "stop": contact.stop,
        "source": contact.source,
    }
    first = f"  {contact.place}{via}{nothing_leaves}  {contact.why}"
    return [first, *(f"    {name:<6}  {text}" for name, text in facts.items() if text)]
