"""OpenAI's addresses for an organization's usage and costs, in pages of days.

Source: OpenAI's OpenAPI description, /organization/costs and /organization/usage/completions. The names of line items
("gpt-4o-2024-08-06, cached input") are those of OpenAI's own exports.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from llm.simulator.billing.ledger import DAY_S, Kind, Ledger, Line
from llm.simulator.billing.tariff import tariff_of
from llm.simulator.openai_errors import Refusal
from llm.simulator.serving.exchange import Exchange

COSTS: Final = "/v1/organization/costs"
USAGE: Final = "/v1/organization/usage/"

# How many days a page may have at most, by address. OpenAI's pages have 7 if the request does not say.
_MOST_DAYS: Final[Mapping[str, int]] = {COSTS: 180, f"{USAGE}completions": 31, f"{USAGE}embeddings": 31}
_DEFAULT_DAYS: Final = 7

# By what each address can group.
_COST_GROUPS: Final = ("project_id", "user_id", "line_item", "api_key_id", "api_source")
_USAGE_GROUPS: Final = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier")

# All that the simulator answers belongs to this project.
PROJECT: Final = "proj_simulated"

# How the key of an administrator begins. Other keys are refused, as OpenAI does.
ADMIN_KEY: Final = "sk-admin-"

_MILLION: Final = 1_000_000


def is_organization(path: str) -> bool:
    """Whether the path is one of these addresses."""
    return path in _MOST_DAYS


async def answer_organization(exchange: Exchange, ledger: Ledger) -> None:
    """Answer a request for which `is_organization` holds. Raises Refusal (400, 401, 405)."""
    if not exchange.bearer.startswith(ADMIN_KEY):
        raise Refusal(401, "Incorrect API key provided: this needs an admin key (simulated).", code="invalid_api_key")
    if exchange.method != "GET":
        raise Refusal(405, f"Not allowed to {exchange.method} on {exchange.path}.", allow="GET")
    await exchange.send_json(200, _page(exchange.path, parse_qs(exchange.query), ledger))


def _page(path: str, asked: Mapping[str, Sequence[str]], ledger: Ledger) -> dict[str, Any]:
    start = _whole_number(asked, "start_time")
    end = min(_whole_number(asked, "end_time", 2**40), int(time.time()) + 1)
    limit = _whole_number(asked, "limit", _DEFAULT_DAYS)
    if not 1 <= limit <= _MOST_DAYS[path]:
        raise Refusal(400, f"'limit' must be from 1 to {_MOST_DAYS[path]}.", param="limit")
    if asked.get("bucket_width", ["1d"])[-1] != "1d":
        raise Refusal(400, "The simulator has buckets of 1d only.", param="bucket_width")
    groups = _group_by(asked, _COST_GROUPS if path == COSTS else _USAGE_GROUPS)
    wanted = [*asked.get("project_ids", ()), *asked.get("project_ids[]", ())]
    first = _read_cursor(asked) or start // DAY_S * DAY_S
    days = range(first, end, DAY_S)
    buckets = []
    for day in days[:limit]:
        lines = ledger.lines(day) if not wanted or PROJECT in wanted else ()
        results = _costs(lines, groups) if path == COSTS else _usage(lines, groups, path.removeprefix(USAGE))
        buckets.append({"object": "bucket", "start_time": day, "end_time": day + DAY_S, "results": results})
    more = len(days) > limit
    return {
        "object": "page",
        "data": buckets,
        "has_more": more,
        "next_page": f"page_{days[limit]}" if more else None,
    }


def _costs(lines: Iterable[tuple[Kind, str, Line]], groups: Sequence[str]) -> list[dict[str, Any]]:
    """One result for each line item, or one for all if nothing is grouped by it."""
    items: list[tuple[str | None, int, float]] = []
    for _, model, line in lines:
        tariff = tariff_of(model)
        parts = (
            ("input", line.prompt - line.cached, tariff.prompt),
            ("cached input", line.cached, tariff.cached),
            ("output", line.completion, tariff.completion),
        )
        items += [
            (f"{tariff.billed_as}, {part}", tokens, float(tokens * price / _MILLION))
            for part, tokens, price in parts
            if tokens
        ]
    if "line_item" not in groups and items:
        items = [(None, 0, sum(usd for _, _, usd in items))]
    return [
        {
            "object": "organization.costs.result",
            "amount": {"value": usd, "currency": "usd"},
            "line_item": item,
            "project_id": PROJECT if "project_id" in groups else None,
            "api_key_id": None,
            "quantity": tokens if item else None,
            "quantity_unit": "tokens" if item else None,
        }
        for item, tokens, usd in items
    ]


def _usage(lines: Iterable[tuple[Kind, str, Line]], groups: Sequence[str], kind: str) -> list[dict[str, Any]]:
    """One result for each model, or one for all if nothing is grouped by it."""
    sums: dict[str | None, Line] = {}
    for of, model, line in lines:
        if of == kind:
            name = tariff_of(model).billed_as if "model" in groups else None
            total = sums.setdefault(name, Line())
            total.requests += line.requests
            total.prompt += line.prompt
            total.cached += line.cached
            total.completion += line.completion
    results = []
    for name, line in sums.items():
        tokens = {"input_tokens": line.prompt, "num_model_requests": line.requests}
        if kind == "completions":
            tokens |= {
                "output_tokens": line.completion,
                "input_cached_tokens": line.cached,
                "input_uncached_tokens": line.prompt - line.cached,
                "input_cache_write_tokens": 0,
                "input_audio_tokens": 0,
                "output_audio_tokens": 0,
            }
        named = dict.fromkeys(_USAGE_GROUPS, None) | {"model": name}
        if "project_id" in groups:
            named["project_id"] = PROJECT
        results.append({"object": f"organization.usage.{kind}.result", **tokens, **named})
    return results


def _whole_number(asked: Mapping[str, Sequence[str]], name: str, default: int | None = None) -> int:
    if name not in asked and default is not None:
        return default
    written = asked.get(name, [""])[-1]
    if not (written.isascii() and written.isdigit() and len(written) <= 12):
        raise Refusal(400, f"'{name}' must be a whole number.", param=name)
    return int(written)


def _group_by(asked: Mapping[str, Sequence[str]], allowed: Sequence[str]) -> list[str]:
    groups = [*asked.get("group_by", ()), *asked.get("group_by[]", ())]
    if unknown := [name for name in groups if name not in allowed]:
        raise Refusal(400, f"'{unknown[0]}' is not one of {', '.join(allowed)}.", param="group_by")
    return groups


def _read_cursor(asked: Mapping[str, Sequence[str]]) -> int | None:
    """The day with which the page begins; None if the first page is asked for."""
    if "page" not in asked:
        return None
    written = asked["page"][-1].removeprefix("page_")
    if not (written.isascii() and written.isdigit() and len(written) <= 12 and int(written) % DAY_S == 0):
        raise Refusal(400, "There is no such page.", param="page")
    return int(written)
