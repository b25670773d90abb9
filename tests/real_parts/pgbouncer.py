"""A real PgBouncer (Debian package `pgbouncer`) in front of the tests' PostgreSQL, pooling transactions or sessions."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

from tests.real_parts.install import SEARCH_PATH
from tests.real_parts.postgresql import PASSWORD, Cluster
from tests.real_parts.processes import accepts, free_port, running

PROGRAM = shutil.which("pgbouncer", path=SEARCH_PATH)


@contextlib.contextmanager
def pooler(cluster: Cluster, *, ignores: str, mode: str = "transaction", sessions: int = 1) -> Iterator[int]:
    """Its port. It holds one session for all clients of a database, so that each finds what another left in it, or
    as many `sessions` as it is to hold.

    What a client wants a session to begin with it refuses, but for what it `ignores`. Skips the test without PgBouncer.
    """
    if PROGRAM is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    port = free_port()
    directory = cluster.directory / "pgbouncer"
    directory.mkdir(exist_ok=True)
    (directory / "users.txt").write_text(f'"postgres" "{PASSWORD}"\n')
    (directory / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={cluster.port}\n[pgbouncer]\npool_mode = {mode}\n"
        f"default_pool_size = {sessions}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = users.txt\nignore_startup_parameters = {ignores}\n"
    )
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    with running([PROGRAM, "pgbouncer.ini"], directory, accepts(port), user=user):
        yield port
