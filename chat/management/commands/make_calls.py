"""`manage.py make_calls --count 1000000`: a made-up history, to see how quick lists and statistics are with it."""

from __future__ import annotations

import random
from argparse import ArgumentParser
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone
from tqdm import tqdm

from chat.management.arguments import whole_number
from chat.models import Attempt, CallRecord
from chat.record.content import Content, write_contents
from chat.record.late_hours import note_changes
from chat.request_ids import new_request_id
from chat.token_counts import TOKEN_COLUMNS

# The models of made-up calls, each with about what a token of its answer costs, in US dollars.
MODELS = {"gpt-4o": Decimal("0.0000100"), "gpt-4o-mini": Decimal("0.0000006"), "gpt-6-luna": Decimal("0.0000005")}
# One of these is drawn for each call, so their numbers are percentages.
STATUSES = (["succeeded"] * 94) + (["failed"] * 3) + (["cancelled"] * 2) + ["defaulted"]
# The service tiers that answers name. Most of them name the default one.
TIERS = (["default"] * 8) + ["flex", "priority"]
# What the loser of a race is guessed to have cost, in US dollars.
LOSER_COST = Decimal("0.0000300")
# What one web search costs, in US dollars.
SEARCH_COST = Decimal("0.01")
# How many calls are written in one transaction.
BATCH_CALLS = 5_000


class Command(BaseCommand):
    help = "Adds made-up calls to the history. They say provider=made-up, and metadata {'made_up': 'yes'}."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--count", type=whole_number(1, 1_000_000_000), default=10_000, help="default: %(default)s")
        parser.add_argument(
            "--days", type=whole_number(1, 36_500), default=30, help="spread over the last days; default: %(default)s"
        )
        parser.add_argument("--content", action="store_true", help="with messages and answers, about 1 kB a call")
        parser.add_argument("--seed", type=int, default=None, help="make the same calls again")

    def handle(self, *args: Any, **options: Any) -> None:
        count, days = options["count"], options["days"]
        numbers = random.Random(options["seed"])  # noqa: S311 - numbers, not secrets
        end = timezone.now()
        step = timedelta(days=days) / max(count, 1)
        with tqdm(total=count, unit=" calls", disable=options["verbosity"] == 0) as progress:
            for first in range(0, count, BATCH_CALLS):
                batch = range(first, min(first + BATCH_CALLS, count))
                calls = [made_up_call(numbers, end - step * (count - position)) for position in batch]
                with transaction.atomic():
                    note_changes(call.created_at for call in calls)
                    saved = CallRecord.objects.bulk_create(calls)
                    Attempt.objects.bulk_create([attempt for call in saved for attempt in attempts_of(numbers, call)])
                    if options["content"]:
                        write_contents([(call.pk, made_up_content(call)) for call in saved])
                progress.update(len(calls))
        self.stdout.write(f"Added {count} made-up calls.")


def made_up_call(numbers: random.Random, created_at: datetime) -> CallRecord:
    model = numbers.choice(list(MODELS))
    status = numbers.choice(STATUSES)
    answered = status == "succeeded"
    door = numbers.choice(CallRecord.Door.values)
    latency = int(numbers.lognormvariate(6.5, 0.8))
    prompt, completion = numbers.randint(10, 4_000), numbers.randint(5, 800)
    searches = numbers.randint(1, 3) if answered and numbers.random() < 0.05 else 0
    raced = door == "parallel"
    cost = MODELS[model] * completion + SEARCH_COST * searches if answered else Decimal(0)
    return CallRecord(
        request_id=new_request_id(int(created_at.timestamp() * 1000)),
        created_at=created_at,
        door=door,
        streamed=door == "stream",
        route=f"{model}|gpt-4o-mini" if door == "parallel" else model,
        model_requested=model,
        model_used=model if answered else "",
        provider_used="made-up" if answered else "",
        status=status,
        fallback_triggered=numbers.random() < 0.05,
        is_default_message=status == "defaulted",
        error_code="" if answered else "upstream_failed",
        http_status={"succeeded": 200, "defaulted": 200, "failed": 502, "cancelled": 499}[status],
        latency_ms=latency,
        time_to_first_token_ms=latency // 3 if answered else None,
        prompt_tokens=prompt if answered else None,
        completion_tokens=completion if answered else None,
        cached_tokens=_part(numbers, prompt, 0.3) if answered else None,
        reasoning_tokens=_part(numbers, completion, 0.2) if answered else None,
        cache_write_tokens=_part(numbers, prompt // 2, 0.1) if answered else None,
        audio_prompt_tokens=_part(numbers, prompt // 4, 0.02) if answered else None,
        audio_completion_tokens=_part(numbers, completion // 4, 0.02) if answered else None,
        web_searches=searches if answered else None,
        file_searches=_part(numbers, 3, 0.02) if answered else None,
        service_tier=numbers.choice(TIERS) if answered else "",
        cost_usd=cost + (LOSER_COST if raced else 0),
        cost_estimated=raced,
        cost_incomplete=answered and numbers.random() < 0.01,
        finish_reason="stop" if answered else "",
        metadata={"made_up": "yes"},
    )


def _part(numbers: random.Random, whole: int, share: float) -> int:
    """A part of a number of tokens, or 0 for most calls."""
    return numbers.randint(0, whole) // 2 if numbers.random() < share else 0


def attempts_of(numbers: random.Random, call: CallRecord) -> list[Attempt]:
    raced = call.door == "parallel"
    first = Attempt(
        call=call,
        ordinal=0,
        model=call.model_requested,
        provider="made-up",
        status="failed" if call.status == "defaulted" else call.status,
        raced=raced,
        started_after_ms=0,
        latency_ms=call.latency_ms,
        time_to_first_token_ms=call.time_to_first_token_ms,
        **{name: getattr(call, name) for name in (*TOKEN_COLUMNS, "service_tier", "cost_incomplete")},
        cost_usd=call.cost_usd - LOSER_COST if raced and call.cost_usd else call.cost_usd,
    )
    loser = Attempt(
        call=call,
        ordinal=1,
        model="gpt-4o-mini",
        provider="made-up",
        status="cancelled",
        raced=True,
        started_after_ms=0,
        latency_ms=call.latency_ms,
        prompt_tokens=call.prompt_tokens,
        completion_tokens=numbers.randint(0, 50),
        usage_estimated=True,
        cost_usd=LOSER_COST,
    )
    return [first, loser] if raced else [first]


def made_up_content(call: CallRecord) -> Content:
    return Content(
        messages=[{"role": "user", "content": f"Question of {call.request_id}. " * 10}],
        parameters={"temperature": 0.7},
        content="An answer that was made up. " * 20,
    )
