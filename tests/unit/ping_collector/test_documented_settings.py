"""What docs/collector.md says of `collector.yml` is what the collector reads."""

import re
from datetime import timedelta
from pathlib import Path

from ff_observe.http.limits import Limits
from ff_observe.ping_collector.settings_file import KEYS, read_collector_file

PAGE = (Path(__file__).parents[3] / "docs" / "collector.md").read_text()
(EXAMPLE,) = re.findall(r"## collector\.yml.*?```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_example_is_read_as_it_says(tmp_path: Path) -> None:
    file = tmp_path / "collector.yml"
    file.write_text(EXAMPLE)
    settings = read_collector_file(file)
    assert (settings.port, settings.k, settings.retention) == (10465, 5, timedelta(days=400))
    assert settings.limits == Limits()
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8"]


def test_every_key_is_in_the_example() -> None:
    for key in KEYS:
        assert re.search(rf"^ *(# )?{key.rpartition('.')[2]}:", EXAMPLE, flags=re.MULTILINE), key
