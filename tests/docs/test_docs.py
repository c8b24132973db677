"""The documents themselves: their links, the files that they name, and their size."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOLDERS = ("llm", "chat", "access", "stats", "orchestration_site", "tests", "bench", "examples", "docs", "deploy")
LONGEST_LINE = 120
LONGEST_DECISION = 45
# `migrations` and `commands` are where Django looks for them; the package above each of them is named.
DJANGOS_OWN = {"migrations", "commands"}

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def prose(document: Path) -> Iterator[tuple[int, str]]:
    """The lines that people write and wrap: no code block, no table, and nothing that a benchmark has written."""
    in_code = generated = False
    for number, line in enumerate(document.read_text().splitlines(), 1):
        if line.startswith("<!--"):
            generated = "written by" in line
        elif line.lstrip().startswith("```"):
            in_code = not in_code
        elif not (in_code or generated or line.lstrip().startswith("|")):
            yield number, line


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def packages() -> set[str]:
    """The folders of the product that are Python packages."""
    found = subprocess.run(["git", "ls-files", "*/__init__.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    folders = {str(Path(name).parent) for name in found.stdout.splitlines()}
    return {name for name in folders if name.split("/")[0] != "tests" and name.split("/")[-1] not in DJANGOS_OWN}


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@each_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    # A name with a dot before it is a folder that a tool makes, and is not in the repository.
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/(?!\.)[\w./-]*)`", document.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@each_document
def test_prose_is_wrapped(document: Path) -> None:
    assert [number for number, line in prose(document) if len(line) > LONGEST_LINE] == []


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    assert [name for name in sorted(packages()) if f"| `{name}/` |" not in text] == []


@pytest.mark.parametrize("document", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=lambda path: path.name)
def test_a_decision_fits_on_one_screen(document: Path) -> None:
    assert len(document.read_text().splitlines()) <= LONGEST_DECISION
