"""Compares gateways in one run: `make bench`, or `make bench ARGS=--quick` for a few seconds each.

The gateways run one after the other, each with the server's core to itself, and are started again for each round.
It measures whole answers on one and on 16 connections, streams, and a thousand slow streams. It prints the medians over
the rounds, and writes them into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import uvloop

from bench.effort import FULL, QUICK, Effort
from bench.load import streams, wrk
from bench.machine import describe, fixed_work_ms, take_the_load_core
from bench.report import median, number, table, write
from bench.servers import contestants
from bench.servers.contestants import NO_GATEWAY, WORK, Contestant, Running
from bench.servers.history import postgres_binaries, postgres_version
from bench.servers.server import Request, post
from bench.servers.upstream import ANSWER, MARK
from bench.servers.upstream_process import UPSTREAM_PORT, upstream

CONNECTIONS = 16
STREAM_CONNECTIONS = 8
SLOW_STREAMS = 1_000
LONG_CHUNKS = 2_000
LONG = f"chunks={LONG_CHUNKS}"


@dataclass(frozen=True)
class Round:
    """The results of one contestant in one round."""

    fixed_work_ms: float
    start_s: float | None
    memory_at_start_mib: float | None
    one: wrk.Load
    many: wrk.Load
    memory_peak_mib: float | None
    first: streams.FirstTokens
    relayed: streams.Relayed
    slow: streams.Slow
    answers: int
    # Calls that may have been running when a load ended. They may be recorded with an answer that nobody has read.
    in_flight: int
    rows: int | None

    @property
    def others(self) -> float:
        return max(self.one.others, self.many.others, self.relayed.others)


def check_answers(contestant: Contestant, running: Running) -> None:
    """Check that the gateway passes on the answers of the upstream.

    Raises RuntimeError if it answers something else.
    """
    status, body = post(running.port, contestant.request(upstream_port=UPSTREAM_PORT))
    if status != 200 or ANSWER not in body.decode():
        raise RuntimeError(f"{contestant.name} does not pass the answer on: {status} {body[:300]!r}")
    status, body = post(running.port, contestant.request(upstream_port=UPSTREAM_PORT, prompt=LONG, stream=True))
    if status != 200 or body.decode().count(MARK) != LONG_CHUNKS or b"[DONE]" not in body:
        raise RuntimeError(f"{contestant.name} does not pass the stream on: {status} {body[-500:]!r}")


def measure(contestant: Contestant, running: Running, effort: Effort) -> Round:
    port, server = running.port, running.server

    def request(prompt: str = contestants.PROMPT, *, stream: bool = True) -> Request:
        return contestant.request(upstream_port=UPSTREAM_PORT, prompt=prompt, stream=stream)

    whole, work_ms = request(stream=False), fixed_work_ms()
    memory_at_start = server.memory_mib() if server else None
    check_answers(contestant, running)
    warm = wrk.load(port, whole, connections=CONNECTIONS, seconds=effort.warm_up_s, server=server)
    one = wrk.load(port, whole, connections=1, seconds=effort.load_s, server=server)
    many = wrk.load(port, whole, connections=CONNECTIONS, seconds=effort.load_s, server=server)
    memory_peak = server.memory_mib(peak=True) if server else None
    first = streams.first_tokens(port, request("chunks=20"), streams=effort.first_tokens)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        relayed = runner.run(
            streams.relay(
                port,
                request(LONG),
                chunks_each=LONG_CHUNKS,
                connections=STREAM_CONNECTIONS,
                seconds=effort.load_s,
                server=server,
            )
        )
        # The slow streams do not count here, because they are recorded as cancelled. Of the three further answers, one
        # belongs to the start and two to the check.
        answers = 3 + warm.requests + one.requests + many.requests + effort.first_tokens + relayed.ended
        rows = running.history.count("succeeded") if running.history else None
        slow = runner.run(
            streams.hold_open(
                port,
                request("chunks=1000000 pause_ms=1000"),
                streams=SLOW_STREAMS,
                seconds=effort.hold_s,
                server=server,
            )
        )
    return Round(
        fixed_work_ms=work_ms,
        start_s=running.start_s if server else None,
        memory_at_start_mib=memory_at_start,
        one=one,
        many=many,
        memory_peak_mib=memory_peak,
        first=first,
        relayed=relayed,
        slow=slow,
        answers=answers,
        in_flight=2 * CONNECTIONS + 1 + STREAM_CONNECTIONS,
        rows=rows,
    )


Results = dict[Contestant, list[Round]]


def whole_answers(results: Results) -> str:
    def per_second(contestant: Contestant) -> float | None:
        rounds = results.get(contestant)
        return median(rounds, lambda round: round.many.requests_per_s) if rounds else None

    direct = median(results[NO_GATEWAY], lambda round: round.one.p50_ms) if NO_GATEWAY in results else None
    peers = (contestants.PORTKEY_GATEWAY, contestants.LITELLM_PROXY)

    def row(contestant: Contestant, rounds: Sequence[Round]) -> list[str]:
        mine = per_second(contestant)
        compared = mine if contestant != NO_GATEWAY else None
        ratios = [compared / other if compared and (other := per_second(peer)) else None for peer in peers]
        p50 = median(rounds, lambda round: round.many.p50_ms)
        p99 = median(rounds, lambda round: round.many.p99_ms)
        alone = median(rounds, lambda round: round.one.p50_ms)
        cpu = median(rounds, lambda round: round.many.cpu_ms_per_request)
        failed = sum(round.many.refused + round.many.broken + round.one.refused + round.one.broken for round in rounds)
        return [
            contestant.name,
            number(mine),
            *(f"{number(ratio)} ×" if ratio else "–" for ratio in ratios),
            number(cpu),
            number(p50),
            number(p99),
            number(p99 / p50 if p99 and p50 else None),
            number(median(rounds, lambda round: round.many.max_ms)),
            number(alone),
            number(alone - direct if alone is not None and direct is not None and contestant != NO_GATEWAY else None),
            str(failed),
        ]

    head = ["", "requests/s", "of Portkey", "of LiteLLM", "CPU ms/request", "p50 ms", "p99 ms", "p99/p50", "max ms"]
    head += ["p50 ms, one connection", "added", "failed"]
    return table(head, (row(*item) for item in results.items()))


def streamed_answers(results: Results) -> str:
    direct = median(results[NO_GATEWAY], lambda round: round.first.p50_ms) if NO_GATEWAY in results else None

    def row(contestant: Contestant, rounds: Sequence[Round]) -> list[str]:
        first = median(rounds, lambda round: round.first.p50_ms)
        return [
            contestant.name,
            number(first),
            number(first - direct if first is not None and direct is not None and contestant != NO_GATEWAY else None),
            number(median(rounds, lambda round: round.first.p99_ms)),
            number(median(rounds, lambda round: round.relayed.chunks_per_s)),
            number(median(rounds, lambda round: round.relayed.cpu_ms_per_1000_chunks)),
            str(min(round.slow.open for round in rounds)),
            number(median(rounds, lambda round: round.slow.seconds_to_open)),
            number(median(rounds, lambda round: round.slow.memory_mib)),
        ]

    head = ["", "first token, ms", "added", "its p99", "chunks/s", "CPU ms/1,000 chunks", "slow streams open"]
    head += ["all open after, s", "MiB then"]
    return table(head, (row(*item) for item in results.items()))


def processes(results: Results) -> str:
    def row(contestant: Contestant, rounds: Sequence[Round]) -> list[str]:
        rows = [round.rows for round in rounds if round.rows is not None]
        answers = sum(round.answers for round in rounds)
        return [
            contestant.name,
            number(median(rounds, lambda round: round.start_s)),
            number(median(rounds, lambda round: round.memory_at_start_mib)),
            number(median(rounds, lambda round: round.memory_peak_mib)),
            f"{answers:,}",
            f"{sum(rows):,}" if rows else "–",
            contestant.saves,
        ]

    head = ["", "start-up, s", "MiB at start", "MiB, highest", "answers read", "answers on record", "what it has saved"]
    return table(head, (row(*item) for item in results.items()))


def check_rows(results: Results) -> None:
    """Check that every answer that was read is recorded. Raises SystemExit if one is not."""
    for contestant, rounds in results.items():
        for each in rounds:
            if each.rows is not None and not each.answers <= each.rows <= each.answers + each.in_flight:
                raise SystemExit(f"{contestant.name}: {each.answers} answers, {each.rows} rows")


def how_quiet(results: Results) -> str:
    gateways = [each for contestant, rounds in results.items() if contestant != NO_GATEWAY for each in rounds]
    others = max((each.others for each in gateways), default=0.0)
    load = max((max(each.one.load, each.many.load, each.relayed.load) for each in gateways), default=0.0)
    work = [each.fixed_work_ms for rounds in results.values() for each in rounds]
    return (
        f"Of the server's core, processes that have no part in it took {others:.0%} at most; the load's core was "
        f"{load:.0%} busy at most (not counting *no gateway*). A piece of work that is always the same took "
        f"{min(work):.0f} to {max(work):.0f} ms of CPU time."
    )


def run(chosen: Sequence[Contestant], effort: Effort) -> Results:
    results: Results = {contestant: [] for contestant in chosen}
    for number_of_round in range(effort.rounds):
        for contestant in chosen:
            print(f"{datetime.datetime.now():%H:%M:%S} round {number_of_round + 1}: {contestant.name}", flush=True)
            with upstream(), contestant.running(UPSTREAM_PORT) as running:
                results[contestant].append(measure(contestant, running, effort))
    return results


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="one round of a few seconds: not for the record")
    arguments.add_argument("--only", default="", help="contestants whose name has this in it: portkey, litellm, sqlite")
    options = arguments.parse_args()
    effort = QUICK if options.quick else FULL
    ours = contestants.OURS + (contestants.OURS_ON_POSTGRES if postgres_binaries() else ())
    everyone = (NO_GATEWAY, *ours, contestants.PORTKEY_GATEWAY, contestants.LITELLM_PROXY)
    chosen = [each for each in everyone if options.only.lower() in each.name.lower() or each == NO_GATEWAY]

    contestants.install_tools()
    WORK.mkdir(exist_ok=True)
    if contestants.PORTKEY_GATEWAY in chosen:
        contestants.install_portkey()
    if contestants.LITELLM_PROXY in chosen:
        contestants.install_litellm()
    take_the_load_core()
    versions = {each.name.partition(",")[0]: each.version() for each in chosen if each.version()}
    versions |= {"load": wrk.wrk_version()}
    if any(each in chosen for each in contestants.OURS_ON_POSTGRES):
        versions["database"] = postgres_version()
    results = run(chosen, effort)
    text = "\n\n".join(
        [
            f"{datetime.date.today()}, {effort}. {describe(WORK)}.",
            "\n".join(f"- {name}: {version}" for name, version in versions.items()),
            how_quiet(results),
            f"**Whole answers**, {CONNECTIONS} connections:",
            whole_answers(results),
            f"**Streams**: the first token of one stream at a time; chunks of {STREAM_CONNECTIONS} streams at a time; "
            f"{SLOW_STREAMS:,} streams of a chunk a second:",
            streamed_answers(results),
            "**The process**:",
            processes(results),
        ]
    )
    (WORK / "peers.json").write_text(
        json.dumps({each.name: list(map(asdict, rounds)) for each, rounds in results.items()})
    )
    check_rows(results)
    if options.only:
        print(f"\n{text}\n")
    else:
        write("peers", text)


if __name__ == "__main__":
    main()
