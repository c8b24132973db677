"""The names of code in the documents for developers: what is named there must exist, and where it is said to be."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("CONTRIBUTING.md", "docs/ARCHITECTURE.md")
# A name that begins with a capital letter: a class, a constant or a setting, perhaps with a member of it.
CAPITALISED = re.compile(r"`([A-Z][A-Za-z0-9_]*(?:\.\w+)?)`")
# A file, and in brackets after it the names to look for in that file.
FILE_WITH_NAMES = re.compile(r"`([\w/]+\.py)` \(([^()]*)\)")
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)?)`")
# Words that look like names of code, and are not ours.
FOREIGN = {"CHANGELOG.md"}

each_document = pytest.mark.parametrize("document", DOCUMENTS)


def bound(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    """What these statements define or import. A member of a class has the name of the class before it."""
    for statement in body:
        match statement:
            case ast.ClassDef():
                yield within + statement.name
                yield from bound(statement.body, f"{statement.name}.")
                yield from (f"{statement.name}.{name}" for name in attributes_of_self(statement))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield within + statement.name
            case ast.Assign(targets=targets):
                names = (node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))
                yield from (within + name.id for name in names)
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield within + name
            case ast.Import() | ast.ImportFrom():
                yield from (within + (alias.asname or alias.name) for alias in statement.names)
            case ast.If():
                yield from bound([*statement.body, *statement.orelse], within)


def attributes_of_self(node: ast.ClassDef) -> Iterator[str]:
    for inner in ast.walk(node):
        match inner:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


@cache
def defined_in(path: Path) -> frozenset[str]:
    return frozenset(bound(ast.parse(path.read_text()).body))


@cache
def defined_anywhere() -> frozenset[str]:
    """Every name that some file of the repository defines. A member counts with its class and alone."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.splitlines()]
    names = frozenset[str]().union(*(defined_in(path) for path in files if path.exists()))
    return names | {name.rpartition(".")[2] for name in names}


@each_document
def test_every_name_with_a_capital_letter_is_in_the_code(document: str) -> None:
    named = set(CAPITALISED.findall((ROOT / document).read_text())) - FOREIGN
    assert named
    assert sorted(named - defined_anywhere()) == []


@each_document
def test_every_name_in_brackets_after_a_file_is_in_that_file(document: str) -> None:
    text = re.sub(r"\s+", " ", (ROOT / document).read_text())
    found = [
        (path, name)
        for path, names in FILE_WITH_NAMES.findall(text)
        if (ROOT / path).exists()
        for name in NAME.findall(names)
    ]
    assert found
    assert [(path, name) for path, name in found if name not in defined_in(ROOT / path)] == []
