"""Hashes of passwords as operators make them: Apache's htpasswd (Debian package `apache2-utils`)."""

import shutil
import subprocess

HTPASSWD = shutil.which("htpasswd")
MISSING = "needs htpasswd: apt-get install apache2-utils"


def bcrypt_hash(password: str, cost: int = 4) -> str:
    """A bcrypt hash (`$2y$…`). The lowest cost is the fastest."""
    assert HTPASSWD is not None, MISSING
    made = subprocess.run(
        [HTPASSWD, "-niBC", str(cost), "name"], input=password, capture_output=True, text=True, check=True
    )
    return made.stdout.strip().partition(":")[2]
