"""The rules of data quality, as a table of docs/collector.md."""

from ff_observe.catalogue.quality import RULES
from ff_observe.generate.markdown import table


def render() -> str:
    """One line for each rule: what a finding means, and what to do about it."""
    return table(("rule", "a finding means", "what to do"), ((f"`{r.name}`", r.meaning, r.remedy) for r in RULES))
