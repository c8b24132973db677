"""The shapes in which servers write an error, and what each of them says: its words, its code, the field that it means.

{"error": {"message", "type", "param", "code"}}           OpenAI
{"object": "error", "message", "type", "code"}            vLLM, Mistral
{"error": "text", "error_type"?}                          Ollama, TGI
{"detail": "text"}, {"detail": [{"loc", "msg"}]}          FastAPI
{"title", "detail", "status"}                             RFC 7807
{"message", "code"?}, {"errors": […]}, [{"error": {…}}]   gateways, Cloudflare, Google
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llm.json_values import Json

# Fields that hold the words of an error. The first of them that says something counts.
WORDS = (
    "message",
    "Message",
    "detail",
    "details",
    "error_message",
    "errorMessage",
    "error_msg",
    "error_description",
    "msg",
    "reason",
    "description",
    "errors",
)
CODES = ("code", "error_code", "errorCode")
KINDS = ("type", "error_type", "__type")
STATUSES = ("code", "status", "status_code", "statusCode", "http_status")
PARAMETERS = ("param", "parameter")

# Fields that an answer or a chunk has, and an error has not.
OF_ANSWERS = frozenset({"choices", "data", "output", "response", "delta", "usage", "item", "part", "type", "id"})

# Where a validation error says in which part of the request the field is. This part is not named.
PARTS_OF_A_REQUEST = frozenset({"body", "query", "path"})

# How deep an error object may stand inside others.
MAX_NESTING = 4


@dataclass(frozen=True, slots=True)
class Said:
    """What an upstream said of an error. Texts are empty, and `status` and `body` None, where it did not say it.

    `kind` is OpenAI's `type`. `status` is an HTTP status in the body. `parameter` is the field of the request that the
    error is about, like `messages.0.role`. `body` is the error in OpenAI's shape.
    """

    message: str = ""
    code: str = ""
    kind: str = ""
    parameter: str = ""
    status: int | None = None
    body: Json | None = None


def error_in(answer: Json) -> object | None:
    """The error that stands where an answer or a chunk should be. None if there is none."""
    if answer.get("error"):
        return answer
    if "choices" in answer:  # nearly every chunk; the others are looked at more closely
        return None
    if answer.get("object") == "error" or answer.get("type") == "error":
        return answer
    if OF_ANSWERS.isdisjoint(answer) and any(isinstance(answer.get(name), str | list) for name in (*WORDS, "title")):
        return answer if _words(answer) else None
    return None


def read_shape(error: object) -> Said:
    """What an error says, whatever its shape is."""
    holders = list(_holders(error))
    if not holders:
        return Said(message=_text(error))
    main = holders[0]
    message = next(filter(None, map(_words, holders)), "") or (json.dumps(main, default=str) if main else "")
    parameter = _first_text(holders, PARAMETERS) or _field_in(main.get("detail") or main.get("message"))
    code, kind = _first_text(holders, CODES), _first_text(holders, KINDS)
    if not code and isinstance(main.get("error"), str) and re.fullmatch(r"\w+", main["error"]):
        code = main["error"]
    status = next((int(str(value)) for value in _values(holders, STATUSES) if _is_bad_status(value)), None)
    if status is None and not code and _is_validation(main.get("detail")):
        status = 422
    body = main
    if message and (not isinstance(main.get("message"), str) or not main["message"]):
        kept = {name: value for name, value in main.items() if name not in ("error", *OF_ANSWERS)}
        named = {"type": kind or None, "param": parameter or None, "code": code or None}
        body = {**kept, **named, "message": message}
    return Said(message, code, kind or _first_text(holders, ("status",)), parameter, status, body)


def _holders(error: object) -> Iterator[Json]:
    """The objects that say something of the error: the innermost error object first, then those around it."""
    found: list[Json] = []
    for _ in range(MAX_NESTING):
        if isinstance(error, list) and error and isinstance(error[0], dict) and not _field_in(error):
            error = error[0]
        if not isinstance(error, dict):
            break
        found.append(error)
        inner = [error.get(name) for name in ("error", "detail", "message")]
        error = next((value for value in inner if isinstance(value, dict) and value), None)
    yield from reversed(found)


def _words(holder: Json) -> str:
    """What an object says in words."""
    said = next(filter(None, (_text(holder.get(name)) for name in WORDS)), "")
    # A short text beside the words says what kind of error it is: RFC 7807's title, Spring's name of the status.
    for name in ("title", "error"):
        head = holder.get(name)
        if isinstance(head, str) and head and head not in said:
            said = f"{head}: {said}" if said else head
    return said


def _text(value: object) -> str:
    """Any value as words. A validation error is `field: reason`."""
    match value:
        case None | True | False:
            return ""
        case str():
            return value
        case list():
            return "; ".join(filter(None, map(_text, value)))
        case {"msg": str() as reason} | {"message": str() as reason}:
            field = _field_in([value])
            return f"{field}: {reason}" if field else reason
        case dict():
            if words := _words(value):
                return words
            by_field = {name: _text(reasons) for name, reasons in value.items() if isinstance(reasons, str | list)}
            named = [f"{name}: {reason}" for name, reason in by_field.items() if reason]
            return "; ".join(named) or json.dumps(value, default=str)
    return json.dumps(value, default=str)


def _field_in(detail: object) -> str:
    """The field that FastAPI's list of validation errors names first, like `messages.0.role`."""
    if not isinstance(detail, list) or not detail or not isinstance(detail[0], dict):
        return ""
    place = detail[0].get("loc")
    if not isinstance(place, list):
        return ""
    names = [str(name) for name in place if isinstance(name, str | int)]
    return ".".join(names[1:] if len(names) > 1 and names[0] in PARTS_OF_A_REQUEST else names)


def _is_validation(detail: object) -> bool:
    return isinstance(detail, list) and bool(detail) and isinstance(detail[0], dict) and "loc" in detail[0]


def _values(holders: list[Json], names: tuple[str, ...]) -> Iterator[Any]:
    for holder in holders:
        for name in names:
            yield holder.get(name)


def _first_text(holders: list[Json], names: tuple[str, ...]) -> str:
    """The first text or number under one of the names."""
    found = (value for value in _values(holders, names) if isinstance(value, str | int) and not isinstance(value, bool))
    return next(filter(None, map(str, found)), "")


def _is_bad_status(value: object) -> bool:
    return isinstance(value, str | int) and re.fullmatch("[45][0-9]{2}", str(value), re.ASCII) is not None
