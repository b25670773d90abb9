"""Speed and cost of the bridge beside what else an operator could use, in ratios measured in one run."""
