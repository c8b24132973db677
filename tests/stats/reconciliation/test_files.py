"""manage.py reconcile --csv: exports of OpenAI's costs, and saved answers of its API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from stats.models import Reconciliation
from tests.support.history import START, make_call

pytestmark = pytest.mark.django_db

# The columns of an export, as people have published them.
COLUMNS = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,"
    "organization_id,organization_name"
)
DAY = "1795132800,1795219200,2026-11-20T00:00:00+00:00,2026-11-21T00:00:00+00:00"
EXPORT = f"""{COLUMNS}
{DAY},0.8000000000000000,usd,"gpt-4o-2024-08-06, input",proj_a,org-x,Personal
{DAY},0.2,usd,"gpt-4o-2024-08-06, output",proj_b,org-x,Personal
1795219200,1795305600,2026-11-21T00:00:00+00:00,2026-11-22T00:00:00+00:00,,,,,,
"""


@pytest.fixture
def ours() -> None:
    """Our books: one dollar for gpt-4o on the day of the export."""
    make_call({"prompt_tokens": 1, "cost_usd": 1}, created_at=START)


@pytest.fixture
def reconcile(tmp_path: Path, ours: None) -> Callable[..., str]:
    def run(content: str | bytes, *arguments: str) -> str:
        file = tmp_path / "costs"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        output = StringIO()
        call_command("reconcile", f"--csv={file}", *arguments, stdout=output)
        return output.getvalue()

    return run


def total(printed: str) -> list[str]:
    return next(line for line in printed.splitlines() if re.match("all days +total", line)).split()[3:6]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(EXPORT, id="as it is exported"),
        pytest.param(b"\xef\xbb\xbf" + EXPORT.replace("\n", "\r\n").encode(), id="as Windows saves it"),
        pytest.param(
            EXPORT.replace(", ", "; ").replace(",", "\t").replace("; ", ", "), id="with tabs between the columns"
        ),
        pytest.param(EXPORT.replace("1795132800", "1795132800.0"), id="with seconds as a spreadsheet writes them"),
        pytest.param(EXPORT.replace("start_time,", "begin,", 1), id="with the day as a date alone"),
    ],
)
def test_an_export_is_compared(reconcile: Callable[..., str], content: str | bytes) -> None:
    printed = reconcile(content)
    assert "2026-11-20  gpt-4o" in printed
    assert total(printed) == ["1.000000", "1.000000", "+0.000000"]
    assert "from 2026-11-20 to 2026-11-20" in printed
    assert Reconciliation.objects.get().drift_ratio == 0


def test_an_export_without_line_items_is_compared_by_day(reconcile: Callable[..., str]) -> None:
    printed = reconcile(f"{COLUMNS}\n{DAY},1.00,usd,,,org-x,Personal\n")
    assert "2026-11-20  all models" in printed
    assert "gpt-4o" not in printed
    assert total(printed) == ["1.000000", "1.000000", "+0.000000"]


def test_only_the_wanted_project_and_days_of_a_file_count(reconcile: Callable[..., str]) -> None:
    assert total(reconcile(EXPORT, "--project=proj_b", "--tolerance=1000"))[1] == "0.200000"
    with pytest.raises(CommandError, match="Nothing was used from 2026-11-21 to 2026-11-21"):
        reconcile(EXPORT, "--since=2026-11-21", "--until=2026-11-22")


def _pages() -> list[dict[str, Any]]:
    result = {
        "object": "organization.costs.result",
        "amount": {"value": "0.5", "currency": "usd"},
        "line_item": "gpt-4o",
    }
    bucket = {"object": "bucket", "start_time": 1795132800, "end_time": 1795219200, "results": [result]}
    return [{"object": "page", "data": [bucket], "has_more": False, "next_page": None}] * 2


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(json.dumps(_pages()), id="a list of pages"),
        pytest.param("\n".join(map(json.dumps, _pages())), id="a page on each line"),
        pytest.param(json.dumps({**_pages()[0], "data": _pages()[0]["data"] * 2}, indent=2), id="one page"),
    ],
)
def test_saved_answers_of_the_api_are_compared(reconcile: Callable[..., str], content: str) -> None:
    assert total(reconcile(content)) == ["1.000000", "1.000000", "+0.000000"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no export of OpenAI's costs, which has the columns amount_value, amount_currency, line_item, and start"),
        ("a,b\n1,2\n", "no export of OpenAI's costs"),
        ("start_time,num_model_requests,model\n1,2,3\n", "This is an export of the activity."),
        (f"{COLUMNS}\n", "has no costs"),
        (EXPORT.replace("0.2,usd", "much,usd"), "Line 3: An amount is no number, but 'much'"),
        (EXPORT.replace("0.2,usd", "0.2,eur"), "Line 3: An amount is not in USD, but in 'eur'"),
        (EXPORT.replace("1795132800", "soon"), "Line 2: A start_time is no time in seconds, but 'soon'"),
        (EXPORT.replace("1795132800", "").replace("2026-11-20T", "20.11. "), "start_time_iso is no date"),
        (f"{COLUMNS}\n1795132800,x\n", "Line 2: It has fewer columns than the first line."),
        (f'{COLUMNS}\n{DAY},0.1,usd,"gpt-4o', "unexpected end of data"),
        (f"{COLUMNS}\n{DAY},0.1,usd,{'x' * 200_000},,,\n", "field larger than field limit"),
        ("{broken", "It is no JSON."),
        ("[7]", "It is no page of OpenAI's usage or costs"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
    ],
)
def test_a_malformed_file_is_refused_with_the_reason(
    reconcile: Callable[..., str], content: str | bytes, told: str
) -> None:
    with pytest.raises(CommandError) as refused:
        reconcile(content)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.returncode == 2
    assert not Reconciliation.objects.exists()


def test_a_file_without_projects_cant_be_asked_for_one(reconcile: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match="It has no column project_id"):
        reconcile(EXPORT.replace("project_id", "project"), "--project=proj_a")


def test_a_file_that_is_not_there_is_told(ours: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be read: No such file or directory"):
        call_command("reconcile", f"--csv={tmp_path / 'none.csv'}")
    with pytest.raises(CommandError, match="can't be read: Is a directory"):
        call_command("reconcile", f"--csv={tmp_path}")
