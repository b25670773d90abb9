"""What docs/collector.md says of `collector.yml` is what the collector reads."""

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from ff_observe.collector.fleet.disclosure import LARGEST_SHARE, P_PERCENT
from ff_observe.collector.fleet.figures import DRIVERS, LICENSE_TYPES
from ff_observe.collector.receiving.unknown_fields import MAX_NAMES, MAX_NAMES_PER_SENDER
from ff_observe.collector.settings import DATA_DIR, LISTEN, CollectorSettings, PostgreSQLServer
from ff_observe.collector.settings_file import read_collector_file
from ff_observe.config.secret import Secret

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "collector.md").read_text()
(EXAMPLE,) = re.findall(r"## collector\.yml.*?```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_example_is_read_as_it_says(tmp_path: Path) -> None:
    file = tmp_path / "collector.yml"
    file.write_text(EXAMPLE)
    (tmp_path / "database-url").write_text("postgresql://u:p@127.0.0.1/pings\n")
    settings = read_collector_file(file)
    assert (settings.host, settings.port, settings.public) == ("::1", 10465, True)
    assert settings.retention == timedelta(days=100)
    assert settings.database == PostgreSQLServer(Secret("postgresql://u:p@127.0.0.1/pings"))
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8"]


def test_the_command_names_the_defaults_of_its_options() -> None:
    command = [sys.executable, "-m", "ff_observe", "collector", "run", "--help"]
    options = "".join(subprocess.check_output(command, text=True).split())  # argparse breaks lines at hyphens too
    assert f"(default:{LISTEN.shown_default.strip('`')})" in options
    assert f"(default:./{DATA_DIR.shown_default.strip('`')})" in options


def test_the_page_and_privacy_name_the_defaults_of_what_is_shown() -> None:
    settings = CollectorSettings()
    privacy = " ".join((ROOT / "PRIVACY.md").read_text().split())
    few = f"fewer than {settings.public_k} platforms, each of which pinged on {settings.public_days} different days"
    assert few in privacy
    assert f"from {settings.public_k} different addresses" in privacy
    assert f"the same rules with {settings.k} platforms (`fleet.k`)" in privacy
    page = " ".join(PAGE.split())
    assert LARGEST_SHARE == 0.5
    assert "the largest has at most half" in page
    assert f"at least {P_PERCENT} % of the largest" in page
    assert f"at most {MAX_NAMES} names" in page
    assert f"bring up {MAX_NAMES_PER_SENDER} names a day" in page
    for name in (*DRIVERS, *LICENSE_TYPES):
        assert f"`{name}`" in page
