"""The table of a run: by kind, what the ledger has billed and what our rows say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from tests.ledger.driver.matching import Kind, Pair, kind_of
from tests.ledger.upstream.prices import Tokens

# What can be known of each kind, and why not all of it.
KNOWABLE = {
    Kind.WHOLE_CUT: "by reading on; at a stop of the service only on average",
    Kind.WHOLE_BROKEN: "the prompt; the answer only on average",
    Kind.LOSER_EARLY: "on average: hidden tokens, the request's own speed",
    Kind.LOSER: "on average: tokens that were made and not sent",
    Kind.LEFT_EARLY: "on average: hidden tokens, the request's own speed",
    Kind.LEFT: "on average: tokens that were made and not sent",
    Kind.DEADLINE: "on average: hidden tokens, the request's own speed",
    Kind.BROKEN: "on average; that it is billed is an assumption",
    Kind.LAST_INSTANT: "on average: its usage was on its way",
    Kind.REFUSED: "yes: it costs nothing",
    Kind.MISSING: "yes",
}

# The kinds whose counts are our own estimates, and the counts.
GUESSED = tuple(kind for kind in KNOWABLE if kind not in (Kind.REFUSED, Kind.MISSING))
COUNTS = ("prompt", "cached", "written", "completion", "audio_out")
NOTHING = Tokens(prompt=0)

NOT_KNOWABLE = """\
Not knowable from outside: one request's own speed (only sums come right), whether a cut request would have found its
beginning in the prompt cache, the tier of a request that was cut before it was named, whether a request that was cut
before its headers would have been refused, and tokens that were made and not sent. That a provider bills what it broke
itself, that it bills the prompt of a stream that was cut at once, and the 5 tokens of a tool call are assumptions."""

COLUMNS = f"{'lines':>6}{'ledger USD':>12}{'ours USD':>12}{'ratio':>8}{'error':>9}{'unsigned':>9}{'share':>8}"
HEAD = f"{'kind':44}{COLUMNS}  knowable"


def table(pairs: Iterable[Pair]) -> str:
    """The warm-up is left out."""
    pairs = [pair for pair in pairs if not pair.is_warm_up]
    bill = sum((pair.ledger_usd for pair in pairs), Decimal(0))
    by_kind: dict[Kind, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_kind[kind_of(pair)].append(pair)
    lines = [_line(kind.value, by_kind[kind], bill, KNOWABLE.get(kind, "yes, told")) for kind in Kind if by_kind[kind]]
    return "\n".join([HEAD, *lines, _line("all", pairs, bill, ""), "", _guesses(by_kind), "", NOT_KNOWABLE])


def ratio(pairs: Iterable[Pair]) -> Decimal:
    """Our sum in parts of the bill, without the warm-up."""
    pairs = [pair for pair in pairs if not pair.is_warm_up]
    return sum(pair.ours_usd for pair in pairs) / sum(pair.ledger_usd for pair in pairs)


def _guesses(by_kind: dict[Kind, list[Pair]]) -> str:
    """Our counts in parts of the ledger's, where they are estimates: which of them is wrong, and in which direction."""
    lines = [f"{'estimated counts, ours / ledger':44}{''.join(f'{name:>12}' for name in COUNTS)}"]
    for kind in GUESSED:
        known = [(pair.line.tokens, pair.row.tokens or NOTHING) for pair in by_kind[kind] if pair.line and pair.row]
        cells = []
        for name in COUNTS:
            ledger = sum(getattr(line, name) for line, _ in known)
            ours = sum(getattr(row, name) for _, row in known)
            cells.append(f"{ours / ledger:12.3f}" if ledger else f"{'-':>12}")
        if known:
            lines.append(f"{kind.value:44}{''.join(cells)}")
    return "\n".join(lines)


def _line(name: str, pairs: Sequence[Pair], bill: Decimal, knowable: str) -> str:
    """The errors and the share are in parts of the whole bill."""
    ledger = sum((pair.ledger_usd for pair in pairs), Decimal(0))
    ours = sum((pair.ours_usd for pair in pairs), Decimal(0))
    unsigned = sum((abs(pair.error_usd) for pair in pairs), Decimal(0))
    proportion = f"{ours / ledger:8.3f}" if ledger else f"{'-':>8}"
    return (
        f"{name:44}{len(pairs):6}{ledger:12.6f}{ours:12.6f}{proportion}"
        f"{(ours - ledger) / bill:+9.2%}{unsigned / bill:9.2%}{ledger / bill:8.1%}  {knowable}"
    ).rstrip()
