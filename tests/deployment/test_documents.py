"""The documents by task: their commands run, their snippets are read, their links lead somewhere."""

import os
import re
import tempfile
from pathlib import Path

import promql_parser
import pytest

from tests.deployment.documents import blocks, run
from tests.plain_machine import TOP
from tests.real_parts import prometheus
from tests.real_parts.cache import cache_directory

DOCS = TOP / "docs"
RUN = ("start", "tutorial", "prometheus", "sentry", "ping", "kubernetes", "compose", "systemd", "troubleshooting")
PAGES = [DOCS / f"{name}.md" for name in (*RUN, "README", "how-it-works", "flowfuse-telemetry")]
WIDEST = 140

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pytest.mark.parametrize("name", RUN)
def test_the_commands_of_a_document_run_as_they_stand(name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, for a file system and a network in which nothing stays")
    if prometheus.PROMETHEUS is None:
        pytest.skip(prometheus.MISSING)
    cache_directory().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_directory(), prefix="document-") as directory:
        done = run(DOCS / f"{name}.md", Path(directory))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stdout + done.stderr


@each_page
def test_every_block_is_run_or_read(page: Path) -> None:
    for block in blocks(page):
        if block.language == "promql":
            for expression in block.text.splitlines():
                promql_parser.parse(expression)
        else:
            assert block.language == "sh" or (block.language == "yaml" and block.path), block


@each_page
def test_links_lead_to_files_and_sections_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        name, _, section = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if section and file.suffix == ".md":
            assert section in _anchors(file), target


def _anchors(file: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_names_every_document() -> None:
    index = (DOCS / "README.md").read_text()
    assert [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and f"({page.name}" not in index] == []


@each_page
def test_named_metrics_and_variables_exist(page: Path) -> None:
    text = page.read_text()
    reference = (DOCS / "metrics.md").read_text()
    metrics = set(re.findall(r"\b(?:flowfuse|ff_observe)_[a-z_]+(?=\b)", text)) - NOT_METRICS
    assert {name for name in metrics if not re.search(rf"`{name}\b", reference)} == set()
    known = (DOCS / "configuration.md").read_text() + (TOP / "deploy" / "compose" / "ff-observe.yml").read_text()
    assert {name for name in re.findall(r"\bFF_\w+|\bFLOWFUSE_\w+", text) if name not in known} == set()


NOT_METRICS = {"ff_observe"}
