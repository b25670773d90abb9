"""`python -m tests.end_to_end.planted_errors FILE ARGUMENTS`: `ff-observe ARGUMENTS`, where each task of the process
first fails with an error that holds every secret in FILE, a JSON list, in several spellings."""

import json
import logging
import sys
from pathlib import Path
from urllib.parse import quote

from ff_observe.cli import main
from ff_observe.lifecycle.periodic import Periodic

MARK = "planted error of"


def fail_first(secrets: list[str]) -> None:
    """Have the first step of each task report such an error, then do its work."""
    step, failed = Periodic._step, set[str]()

    def failing(self: Periodic) -> float | None:
        if self.name not in failed:
            failed.add(self.name)
            kind = type(f"Planted{len(failed)}Error", (RuntimeError,), {})
            said = [
                f"<{secret}> {secret!r} {json.dumps(secret)} https://{quote(secret, safe='')}@h" for secret in secrets
            ]
            logging.getLogger("ff_observe.planted").warning("%s %s: %s", MARK, self.name, said)
            try:
                raise kind(f"{MARK} {self.name}", *said)
            except RuntimeError as error:
                self._report(error)
        return step(self)

    Periodic._step = failing  # type: ignore[method-assign]  # this process is the test's


if __name__ == "__main__":
    fail_first(json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8")))
    sys.exit(main(sys.argv[1:]))
