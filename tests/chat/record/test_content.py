"""What was said in calls: one file reads and writes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

from chat.models import CallRecord
from chat.record.content import (
    Content,
    answer_names_model,
    content_of,
    contents_of,
    drop_contents,
    has_answer,
    has_content,
    said,
    write_contents,
)

PACKAGES = ("access", "chat", "console", "llm", "orchestration_site", "stats")
MAY_NAME_IT = ("chat/models.py", "chat/record/content.py", "chat/migrations/")
# The model, and the ways to it from a call (`call.body`) and in a query (`body__messages`, `"body.messages"`).
NAMES_OF_IT = re.compile(r"""\bCallContent\b|\bbody__|["']body\.|\bcall\.body\b|_related\(["']body""")

QUESTION = Content(messages=[{"role": "user", "content": 'Say "é"\nplease'}], content="Here: É")


@pytest.fixture
def calls() -> list[CallRecord]:
    return [CallRecord.objects.create(request_id=f"req_{number}", door="chat", status="succeeded") for number in "123"]


def test_no_other_file_names_the_table_of_what_was_said() -> None:
    naming = []
    for package in PACKAGES:
        for file in Path(settings.BASE_DIR, package).rglob("*.py"):
            name = str(file.relative_to(settings.BASE_DIR))
            if not name.startswith(MAY_NAME_IT) and (found := NAMES_OF_IT.search(file.read_text())):
                naming.append((name, found[0]))
    assert naming == []


@pytest.mark.django_db
def test_what_is_written_is_read_again(calls: list[CallRecord]) -> None:
    whole = Content([{"role": "user", "content": "a"}], {"temperature": 0.5}, "b", {"id": "c", "model": "gpt-4o"})
    write_contents([(calls[0].pk, whole), (calls[1].pk, Content())])
    assert content_of(calls[0]) == whole
    assert contents_of(calls) == {calls[0].pk: whole, calls[1].pk: Content()}


@pytest.mark.django_db
def test_a_call_whose_content_is_not_kept_has_none(calls: list[CallRecord]) -> None:
    assert content_of(calls[0]) is None
    assert contents_of(calls) == {}


@pytest.mark.django_db
def test_new_content_takes_the_place_of_the_old_one(calls: list[CallRecord]) -> None:
    write_contents([(calls[0].pk, QUESTION)])
    write_contents([(calls[0].pk, Content(content="new"))], replace=True)
    assert contents_of(calls) == {calls[0].pk: Content(content="new")}


@pytest.mark.django_db
def test_content_is_dropped_and_the_call_stays(calls: list[CallRecord]) -> None:
    write_contents([(call.pk, QUESTION) for call in calls])
    drop_contents([calls[0].pk, calls[1].pk])
    assert set(contents_of(calls)) == {calls[2].pk}
    assert CallRecord.objects.count() == 3


@pytest.mark.django_db
def test_calls_are_picked_by_what_is_kept_of_them(calls: list[CallRecord]) -> None:
    write_contents([(calls[0].pk, Content(answer={"model": "gpt-4o"})), (calls[1].pk, QUESTION)])
    assert set(CallRecord.objects.filter(has_content())) == {calls[0], calls[1]}
    assert set(CallRecord.objects.filter(has_answer())) == {calls[0]}
    assert set(CallRecord.objects.filter(answer_names_model("gpt-4o"))) == {calls[0]}


@pytest.mark.django_db
@pytest.mark.parametrize("term", ['"é"', '"\nple', "SAY", "here: "])
def test_a_text_is_found_in_messages_and_in_answers(calls: list[CallRecord], term: str) -> None:
    write_contents([(calls[1].pk, QUESTION)])
    assert set(CallRecord.objects.filter(said(term))) == {calls[1]}


def test_values_of_a_spool_file_that_is_older_than_a_field_are_read() -> None:
    assert Content.from_values({"messages": [], "parameters": {}, "content": "a"}) == Content(content="a")
    with pytest.raises(TypeError):
        Content.from_values({"unknown": 1})
