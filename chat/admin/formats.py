"""How the pages write numbers, costs, durations, moments and states."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.models import Tokens

NOTHING = "–"
SIGNIFICANT_DIGITS = 3
MAX_PLACES = 10
SECOND = 1000


def cost(amount: Decimal | None, *, estimated: bool = False, incomplete: bool = False) -> str:
    """`$0.000123`, `$12.35`; `~$12.35` if estimated; `≥ $12.35` if only this part of it is known; `unknown` if null."""
    if amount is None:
        return "unknown"
    places = 2
    if amount and abs(amount) < 1:
        places = min(MAX_PLACES, max(2, SIGNIFICANT_DIGITS - 1 - amount.adjusted()))
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    whole, _, decimals = f"{rounded:,f}".partition(".")
    decimals = decimals.rstrip("0").ljust(2, "0") if rounded else ""
    return f"{'≥ ' if incomplete else ''}{'~' if estimated else ''}${whole}{'.' if decimals else ''}{decimals}"


def exact_cost(amount: Decimal | None, *, estimated: bool = False, incomplete: bool = False) -> str:
    """Every digit that is stored, and in words what the signs of `cost` say."""
    if amount is None:
        return "unknown (no price is known)"
    written = f"{'at least ' if incomplete else ''}{'~' if estimated else ''}${amount.normalize():f}"
    reasons = {"estimated": estimated, "a part has no known price": incomplete}
    said = ", ".join(reason for reason, holds in reasons.items() if holds)
    return f"{written} ({said})" if said else written


def milliseconds(duration: int | None) -> str:
    """`812 ms`, `12.3 s`."""
    if duration is None:
        return NOTHING
    return f"{duration} ms" if duration < 10 * SECOND else f"{duration / SECOND:,.1f} s"


def tokens(of: Tokens) -> str:
    """`1,234 / 56`: the tokens of the prompt and of the answer."""
    if of.prompt_tokens is None and of.completion_tokens is None:
        return NOTHING
    return f"{count(of.prompt_tokens)} / {count(of.completion_tokens)}"


def count(number: int | None) -> str:
    return NOTHING if number is None else f"{number:,}"


def moment(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}"


def badge(status: str) -> SafeString:
    """A state as a coloured label. The colours stand in chat/admin.css."""
    return format_html('<span class="badge badge-{}">{}</span>', status, status.replace("_", " "))
