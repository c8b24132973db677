"""The engine knows no framework."""

from __future__ import annotations

from pathlib import Path


def test_the_engine_knows_no_django() -> None:
    sources = Path(__file__).parents[2].joinpath("llm").rglob("*.py")
    assert not [path for path in sources if "django" in path.read_text().lower()]
