"""The format of a log line: it is always one whole line of JSON, without secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration_site.logs.formatter import JsonFormatter
from tests.support.reading.log_lines import MIDNIGHT, make_record


def one_line(event: object, /, created: float = MIDNIGHT, **extra: object) -> dict[str, object]:
    line = JsonFormatter().format(make_record(event, created, **extra))
    assert len(line.splitlines()) == 1
    assert line.isascii()
    parsed = json.loads(line)
    assert isinstance(parsed, dict)
    return parsed


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_extra_that_cannot_be_printed_does_not_raise_and_leaves_the_other_fields() -> None:
    line = one_line("llm_call", model=Unprintable(), latency_ms=12)
    assert (line["model"], line["latency_ms"]) == ("[unprintable Unprintable]", 12)


def test_arguments_that_do_not_fit_the_message_do_not_raise() -> None:
    assert one_line("%d calls", args=("many",))["event"] == "%d calls"


def test_a_record_that_is_broken_altogether_is_still_a_line_that_says_so() -> None:
    line = one_line("llm_call", created="yesterday")  # type: ignore[arg-type]
    assert (line["event"], line["logger"]) == ("log_record_unprintable", "chat")


@pytest.mark.parametrize(
    "text", ["two\nlines", "\r\n", "\x00\x1b[31mred\x9b", "next\x85line\u2028paragraph\u2029", 'a "quoted" \\ back']
)
def test_no_character_breaks_the_line(text: str) -> None:
    line = one_line(text, detail=text, nested={text: [text]})
    assert (line["event"], line["detail"], line["nested"]) == (text, text, {text: [text]})


def test_lone_surrogates_become_the_replacement_character() -> None:
    line = one_line("bad \ud83d end", model="\udc00", **{"na\udfffme": 1})
    assert (line["event"], line["model"], line["na\ufffdme"]) == ("bad \ufffd end", "\ufffd", 1)
    assert one_line("good 😀")["event"] == "good 😀"


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), 10**30, pytest.param(10**5000, id="huge")]
)
def test_numbers_that_json_does_not_have_become_text(number: object) -> None:
    assert isinstance(one_line("llm_call", cost_usd=number)["cost_usd"], str)


def test_a_structure_that_holds_itself_ends() -> None:
    loop: dict[str, object] = {}
    loop["self"] = loop
    assert one_line("llm_call", attempts=loop, latency_ms=1)["latency_ms"] == 1


def test_an_extra_cannot_take_the_place_of_a_fixed_field() -> None:
    line = one_line("llm_call", level="none", timestamp="never", event="other", logger="x", exception="y")
    assert (line["event"], line["level"], line["logger"]) == ("llm_call", "info", "chat")
    assert (line["extra_event"], line["extra_level"], line["extra_exception"]) == ("other", "none", "y")


def test_a_call_is_logged_as_the_readme_shows_it() -> None:
    line = one_line(
        "llm_call",
        created=datetime(2024, 1, 15, 10, 30, 45, 123999, tzinfo=UTC).timestamp(),
        request_id="req_abc123",
        model="gpt-4-turbo",
        latency_ms=1234,
        cost_usd=Decimal("0.0045"),
        prompt_tokens=150,
        started=datetime(2024, 1, 15, tzinfo=UTC),
        where=Path("a/b"),
        none=None,
    )
    assert list(line.items()) == [
        ("timestamp", "2024-01-15T10:30:45.123Z"),
        ("level", "info"),
        ("event", "llm_call"),
        ("logger", "chat"),
        ("request_id", "req_abc123"),
        ("model", "gpt-4-turbo"),
        ("latency_ms", 1234),
        ("cost_usd", 0.0045),
        ("prompt_tokens", 150),
        ("started", "2024-01-15T00:00:00+00:00"),
        ("where", "a/b"),
        ("none", None),
    ]


def test_the_last_moment_of_a_day_is_not_rounded_into_the_next() -> None:
    assert one_line("x", created=MIDNIGHT - 0.0000005)["timestamp"] == "2025-12-21T22:59:59.999Z"


def test_an_exception_has_its_type_message_and_traceback() -> None:
    try:
        raise ValueError("bad\nvalue")
    except ValueError as error:
        line = one_line("failed", exc_info=(type(error), error, error.__traceback__))
    exception = line["exception"]
    assert isinstance(exception, dict)
    assert (exception["type"], exception["message"]) == ("ValueError", "bad\nvalue")
    assert exception["traceback"].startswith("Traceback") and "test_formatter.py" in exception["traceback"]


def test_exc_info_without_an_exception_is_left_out() -> None:
    assert "exception" not in one_line("x", exc_info=(None, None, None))


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF0123456789",
        "sk-ant-api03-x_y-z",
        "sk-1234",
        "gsk_abcdefghijklmnop1234",
        "AIzaSyA-1234567890abcdefgh",
        "Bearer abc.def~ghi+jkl/mno==",
        "bearer: s3cret",
        "BEARER%20s3cret",
    ],
)
@pytest.mark.parametrize("around", ["{}", "a\n{}\n", 'key="{}"', "é{} ", "\\{}\\", "?key=%3D{}&x", "{{'k': '{}'}}"])
def test_what_looks_like_a_key_is_redacted_wherever_it_stands(secret: str, around: str) -> None:
    text = around.format(secret)
    try:
        raise RuntimeError(text)
    except RuntimeError as error:
        line = one_line(text, headers={"Authorization": text}, exc_info=(type(error), error, error.__traceback__))
    dumped = json.dumps(line)
    for part in (secret, secret.rsplit(maxsplit=1)[-1], "s3cret", "abc.def"):
        assert part not in dumped
    assert line["event"] == around.format("[redacted]")


@pytest.mark.parametrize("text", ["task-1234", "disk-usage", "risk-assessment-2025", "gpt-4o", "the forbearer fell"])
def test_words_that_only_resemble_a_key_stay(text: str) -> None:
    assert one_line(text)["event"] == text
