"""Checks of any sentence: that it is one, spells names as they are spelled, and states its subject."""

import re

NAMES = ("FlowFuse", "DO_NOT_TRACK", "FF_TELEMETRY_DISABLED")
RIDDLES = re.compile(r"(?<![a-z])(?:told|whoever|nobody|anybody|somebody)(?![a-z])", re.IGNORECASE)
"""Words of sentences that hide their subject, and of names: write who does what instead."""
_CODE = re.compile(r"`[^`]*`|/\S*\w")


def faults(text: str) -> list[str]:
    """What is wrong with the spelling and the marks of one or more sentences; code and paths are left out."""
    plain = _CODE.sub("code", text)
    found = []
    for name in NAMES:
        written = re.findall(rf"\b{name}\b", plain, re.IGNORECASE)
        found += [f"{word}: a name in other letters" for word in written if word != name]
    shouted = re.findall(r"\b[A-Z][A-Z_]+\b", plain)
    found += [f"{word}: shouted" for word in shouted if word not in NAMES]
    found += [f"{word}: an X" for word in re.findall(r"\bX+\w*|\w*XX", plain)]
    found += [f"{word!r}: a sentence without a capital" for word in re.findall(r"(?<=\. )[a-z]\w*", plain)]
    found += [f"{mark!r}: a mark" for mark in re.findall(r"  | [.,;:]|[,;:]{2}", plain)]
    found += [f"{word}: a riddle" for word in RIDDLES.findall(plain)]
    return found if plain.endswith(".") else [*found, "no full stop"]
