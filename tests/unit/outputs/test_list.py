"""`OUTPUTS` is the one list: what it lacks, and what lacks an output of it, is named here."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import ff_observe.outputs
from ff_observe.config.declaration import TELEMETRY_KEYS
from ff_observe.outputs import OUTPUTS, statuses
from ff_observe.outputs.model import Output
from tests.unit.outputs.examples import settings_with
from tests.unit.web.asgi import get
from tests.unit.web.platforms import Provider, app, snapshot

ROOT = Path(__file__).resolve().parents[3]
EACH = pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)


def test_each_output_that_a_module_defines_is_in_the_list_once() -> None:
    defined: dict[str, Output] = {}
    for found in pkgutil.walk_packages(ff_observe.outputs.__path__, "ff_observe.outputs."):
        for value in vars(importlib.import_module(found.name)).values():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, Output):
                    defined[one.name] = one
    listed = [output.name for output in OUTPUTS]
    assert defined.keys() - set(listed) == set(), "ff_observe/outputs/__init__.py: add its OUTPUT to OUTPUTS"
    assert sorted(listed) == sorted(defined)


@EACH
def test_an_output_is_described(output: Output) -> None:
    assert re.fullmatch(r"[a-z][a-z_]+", output.name)
    for field in ("title", "content", "receiver", "key", "example", "stop", "fix"):
        assert getattr(output, field), f"{output.name} has no {field}"
    assert output.key in {key.path for key in TELEMETRY_KEYS}, f"{output.name}: {output.key} is not declared"
    assert not output.document or (ROOT / "docs" / f"{output.document}.md").is_file(), f"docs/{output.document}.md"
    assert output.key in output.stop or output.key.rpartition(".")[0] in output.stop


@EACH
def test_its_example_switches_on_that_output_alone(output: Output, tmp_path: Path) -> None:
    without = {one.name: status.on for one, status in statuses(settings_with(tmp_path, None), None)}
    on = {one.name: status.on for one, status in statuses(settings_with(tmp_path, output), None)}
    if output.build_lasting is None:
        assert without[output.name] is False
        assert on == {**without, output.name: True}
    else:
        assert on[output.name] is not False


@EACH
def test_it_is_in_the_privacy_document_with_content_receiver_and_the_way_to_stop_it(output: Output) -> None:
    rows = [line for line in (ROOT / "PRIVACY.md").read_text().splitlines() if line.startswith(f"| {output.title} |")]
    assert len(rows) == 1, f"{output.name} is not in PRIVACY.md: run make generate"
    for text in (output.content, output.receiver, output.key, output.stop):
        assert text in rows[0]


@EACH
def test_it_is_on_the_status_page(output: Output) -> None:
    page = get(app(Provider(snapshot()))).text
    assert re.search(rf">{re.escape(output.title)}(</a>)?</h[23]>", page), output.name
