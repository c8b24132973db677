"""The metrics that Prometheus reads: calls and attempts with their time, tokens and cost, and the state of the process.

With several worker processes, each writes its numbers into files in PROMETHEUS_MULTIPROC_DIR (`manage.py serve` sets
it), and the worker that is asked adds them all up. Source: prometheus_client's documentation, "Multiprocess Mode".
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from chat.observers.model_labels import ModelLabels
from chat.order import Order
from chat.record.open_calls import OpenCalls
from chat.record.recorder import Recorder
from llm import AttemptRecord, BreakerState, CallOutcome, Engine, LateEnd, Usage

M = TypeVar("M", Counter, Histogram)

# How often the state of the process is written down.
REFRESH_SECONDS = 1.0

# The upper bounds of the buckets of all durations.
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)

CALLS = Counter("llm_calls", "Calls that ended.", ("door", "operation", "model", "status"))
CALL_SECONDS = Histogram(
    "llm_call_duration_seconds", "From request to end.", ("door", "model", "status"), buckets=SECONDS
)
FIRST_TOKEN_SECONDS = Histogram(
    "llm_time_to_first_token_seconds", "From request to first content.", ("door", "model"), buckets=SECONDS
)
CACHED_CALLS = Counter("llm_cached_calls", "Calls that were answered from the cache.", ("door", "model"))
REFUSED_CALLS = Counter("llm_refused_calls", "Calls that a limit of their key or address refused.", ("limit",))
ATTEMPTS = Counter("llm_attempts", "Upstream requests that ended.", ("provider", "model", "status", "error"))
ATTEMPT_SECONDS = Histogram(
    "llm_attempt_duration_seconds", "One upstream request.", ("provider", "model", "status"), buckets=SECONDS
)
TOKENS = Counter("llm_tokens", "Tokens, cancelled and broken attempts included.", ("provider", "model", "kind"))
SEARCHES = Counter("llm_searches", "Searches that a model made, in the web or in files.", ("provider", "model", "kind"))
COST = Counter("llm_cost_usd", "US dollars as far as known, cancelled attempts included.", ("provider", "model"))
COST_UNKNOWN = Counter("llm_cost_unknown_attempts", "Attempts whose price is not known.", ("provider", "model"))
COST_INCOMPLETE = Counter(
    "llm_cost_incomplete_attempts", "Attempts of whose cost only a part is known.", ("provider", "model")
)
ESTIMATED_CALLS = Counter("llm_cost_estimated_calls", "Calls some part of whose cost is a guess.", ("door", "model"))
INCOMPLETE_CALLS = Counter("llm_cost_incomplete_calls", "Calls that cost more than is known.", ("door", "model"))

OPEN_CALLS = Gauge("llm_open_calls", "Calls that are running.", multiprocess_mode="livesum")
READ_ON = Gauge(
    "llm_read_on_answers", "Answers that are read on though nobody waits for them.", multiprocess_mode="livesum"
)
WAITING = Gauge("llm_recorder_waiting_calls", "Calls that are not safe yet.", multiprocess_mode="livesum")
SPOOL = Gauge("llm_spool_calls", "Calls on disk that are not in the database yet.", multiprocess_mode="livesum")
DATABASE_AWAY = Gauge("llm_database_away", "Workers that can't reach the database.", multiprocess_mode="livesum")
DISK_FAILED = Gauge("llm_spool_disk_failed", "Workers that can't write their spool.", multiprocess_mode="livesum")
BREAKER = Gauge(
    "llm_circuit_breaker_state",
    "0 closed, 1 half-open, 2 open: the worst of all workers.",
    ("provider", "model", "operation"),
    multiprocess_mode="livemax",
)
# A breaker that is not in here is closed, which is 0.
BREAKER_VALUES = {BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class CallMetrics:
    """The observer that counts calls that have ended."""

    def __init__(self, labels: ModelLabels) -> None:
        self._labels = labels

    def __call__(self, order: Order, outcome: CallOutcome) -> None:
        self._labels.saw(outcome)
        door, status = str(order.door), str(outcome.status)
        model = self._labels.of(outcome.model_used or order.request.route.first.name)
        _child(CALLS, door, order.request.operation.name, model, status).inc()
        _child(CALL_SECONDS, door, model, status).observe(outcome.latency_ms / 1000)
        if outcome.time_to_first_token_ms is not None:
            _child(FIRST_TOKEN_SECONDS, door, model).observe(outcome.time_to_first_token_ms / 1000)
        if outcome.cached:
            _child(CACHED_CALLS, door, model).inc()
        if not outcome.reading_on:
            self._count_marks(order, outcome)
        for attempt in outcome.attempts:
            name, error = self._labels.of(attempt.model), attempt.error.code if attempt.error else ""
            _child(ATTEMPTS, attempt.provider, name, str(attempt.status), error).inc()
            if attempt.latency_ms is not None:
                _child(ATTEMPT_SECONDS, attempt.provider, name, str(attempt.status)).observe(attempt.latency_ms / 1000)
            # What is still read on is counted when its usage is known: a counter can't take an estimate back.
            if not (outcome.reading_on and attempt.read_on):
                self._count_usage(attempt)

    def late_end(self, order: Order, late_end: LateEnd) -> None:
        """The observer that counts what the answers used that nobody waited for any more."""
        for attempt in late_end.outcome.attempts:
            if attempt.read_on:
                self._count_usage(attempt)
        self._count_marks(order, late_end.outcome)

    def _count_marks(self, order: Order, outcome: CallOutcome) -> None:
        """Count a call whose cost is not all known. While something is read on, it is not known yet whether it is."""
        labels = str(order.door), self._labels.of(outcome.model_used or order.request.route.first.name)
        if outcome.cost_estimated:
            _child(ESTIMATED_CALLS, *labels).inc()
        if outcome.cost_incomplete:
            _child(INCOMPLETE_CALLS, *labels).inc()

    def _count_usage(self, attempt: AttemptRecord) -> None:
        name = self._labels.of(attempt.model)
        if attempt.usage is not None:
            for kind, count in _tokens(attempt.usage):
                _child(TOKENS, attempt.provider, name, kind).inc(count)
            for kind, count in (("web", attempt.usage.web_searches), ("file", attempt.usage.file_searches)):
                if count:
                    _child(SEARCHES, attempt.provider, name, kind).inc(count)
        if attempt.cost_usd is not None:
            _child(COST, attempt.provider, name).inc(float(attempt.cost_usd))
            if attempt.cost_incomplete:
                _child(COST_INCOMPLETE, attempt.provider, name).inc()
        elif attempt.usage is not None:
            _child(COST_UNKNOWN, attempt.provider, name).inc()


@cache
def _child(metric: M, *labels: str) -> M:
    """The metric for these labels. Looking it up in this cache is much quicker than `labels()`."""
    return metric.labels(*labels)


def _tokens(usage: Usage) -> Iterable[tuple[str, int]]:
    """The kinds of tokens and their counts. No token is in two kinds, so that all kinds add up to what was used."""
    yield from _parts(
        ("prompt", usage.prompt_tokens),
        ("cached_prompt", usage.cached_tokens),
        ("cache_write_prompt", usage.cache_write_tokens),
        ("audio_prompt", usage.audio_prompt_tokens - usage.cached_audio_tokens),
        ("image_prompt", usage.image_prompt_tokens - usage.cached_image_tokens),
    )
    yield from _parts(
        ("completion", usage.completion_tokens),
        ("reasoning", usage.reasoning_tokens),
        ("audio_completion", usage.audio_completion_tokens),
        ("image_completion", usage.image_completion_tokens),
    )


def _parts(whole: tuple[str, int], *parts: tuple[str, int]) -> Iterable[tuple[str, int]]:
    """The parts of a whole, and what is left of it under its own name.

    A part is never more than what the parts before it have left, so that all of them add up to the whole, whatever a
    provider says. The first part is always there; the others, which are rare, only where they are above zero.
    """
    name, left = whole
    for number, (part, stated) in enumerate(parts):
        count = min(max(stated, 0), left)
        left -= count
        if count or number == 0:
            yield part, count
    yield name, left


class StateMetrics:
    """The state of this process, written down every second, because another worker may be asked for it."""

    def __init__(self, engine: Engine, labels: ModelLabels, recorder: Recorder, open_calls: OpenCalls) -> None:
        self._engine = engine
        self._labels = labels
        self._recorder = recorder
        self._open_calls = open_calls
        self._broken: set[tuple[str, str, str]] = set()

    async def run(self) -> None:
        """Refresh the state again and again. Runs until it is cancelled."""
        while True:
            self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)

    def refresh(self) -> None:
        """Write down the state of this moment."""
        OPEN_CALLS.set(len(self._open_calls))
        READ_ON.set(self._engine.read_on)
        WAITING.set(self._recorder.waiting)
        SPOOL.set(self._recorder.spool_depth)
        DATABASE_AWAY.set(self._recorder.database_away)
        DISK_FAILED.set(bool(self._recorder.disk_error))
        states = self._labels.breaker_states(self._engine)
        for labels in self._broken - states.keys():
            BREAKER.labels(*labels).set(0)
        for labels, state in states.items():
            BREAKER.labels(*labels).set(BREAKER_VALUES.get(state, 0))
        self._broken |= states.keys()


def exposition() -> tuple[bytes, str]:
    """All metrics as text, and the media type of the text. Where there are several workers, this reads files."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    # A worker that was killed could not take back its gauges.
    for file in Path(folder).glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        if not Path(f"/proc/{process}").exists():
            multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def forget_process() -> None:
    """Remove the gauges of this process at its end. What it has counted stays."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
