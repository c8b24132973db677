"""What one process holds open: the engine, the recorder, and in development the simulator."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from access.keys.keyring import Keyring
from access.limits.limiter import open_limiter
from chat.background_tasks import report_death
from chat.call.answer_cache import CacheConfig, open_cache
from chat.call.gate import Gate
from chat.call.start import Observer, Service
from chat.history.spending import spent
from chat.observers.log import log_call
from chat.observers.metrics import CallMetrics, StateMetrics, forget_process
from chat.observers.model_labels import ModelLabels
from chat.record.open_calls import OpenCalls
from chat.record.recorder import Recorder
from chat.record.row_maker import RowMaker
from llm import Engine, EngineConfig, parse_route
from llm.simulator import serve
from stats.roll_up_task import RollUps

logger = logging.getLogger("orchestration_site")

COLLECTED_AT = 10_000
"""New objects after which the garbage collector looks at the young ones."""


def engine_config() -> EngineConfig:
    """The engine's configuration, from Django's settings."""
    return EngineConfig(
        providers=settings.PROVIDERS,
        routes=settings.ROUTES,
        prices=settings.PRICES,
        request_timeout=settings.REQUEST_TIMEOUT,
        attempt_timeout=settings.ATTEMPT_TIMEOUT,
        connect_timeout=settings.CONNECT_TIMEOUT,
        first_token_timeout=settings.FIRST_TOKEN_TIMEOUT,
        stream_idle_timeout=settings.STREAM_IDLE_TIMEOUT,
        max_retries=settings.MAX_RETRIES,
        hedge_budget=settings.HEDGE_BUDGET,
        breaker_failures=settings.BREAKER_FAILURES,
        breaker_cooldown=settings.BREAKER_COOLDOWN,
    )


def configured_models(config: EngineConfig) -> set[str]:
    """The models that the settings name."""
    written = [settings.DEFAULT_MODEL, *settings.FALLBACK_MODELS, *config.routes]
    routes = [
        parse_route(route, providers=config.providers, default_provider=config.default_provider, routes=config.routes)
        for route in written
    ]
    return {model.name for route in routes for stage in route.stages for model in stage.models}


def refuse_bad_settings() -> None:
    """What `manage.py` does before a command, for a server that was started without it. Raises ImproperlyConfigured."""
    if errors := [str(message) for message in run_checks() if message.is_serious()]:
        raise ImproperlyConfigured("\n".join(errors))


@asynccontextmanager
async def open_service() -> AsyncGenerator[dict[str, Any]]:
    """Open in order, close in reverse: calls end before the recorder does, so that each of them is on record."""
    if settings.ENVIRONMENT not in ("development", "test"):  # a production that is misspelt must not start either
        refuse_bad_settings()
    config = engine_config()
    async with AsyncExitStack() as stack:
        if settings.SIMULATED:
            simulator = await stack.enter_async_context(serve())
            logger.warning(
                "no_openai_key",
                extra={"detail": "OPENAI_API_KEY is not set: the bundled simulator answers, not OpenAI."},
            )
            first = config.default_provider
            simulated = dataclasses.replace(config.providers[first], base_url=simulator.base_url)
            config = dataclasses.replace(config, providers={**config.providers, first: simulated})
        recorder = Recorder(settings.SPOOL_DIR)
        recording = asyncio.create_task(recorder.run(), name="recorder")
        recording.add_done_callback(report_death)
        stack.push_async_callback(_finish, recorder, recording)
        open_calls = OpenCalls(recorder)
        watching = asyncio.create_task(open_calls.run(), name="open calls")
        watching.add_done_callback(report_death)
        stack.push_async_callback(_stop, watching)
        answers = await stack.enter_async_context(
            open_cache(CacheConfig(redis_url=settings.REDIS_URL, max_bytes=settings.CACHE_MAX_BYTES))
        )
        roll_ups = RollUps()
        rolling_up = asyncio.create_task(roll_ups.run(), name="roll-ups")
        rolling_up.add_done_callback(report_death)
        stack.push_async_callback(_close, roll_ups, rolling_up)
        limiter = await stack.enter_async_context(open_limiter(settings.REDIS_URL, spent))
        renewing = asyncio.create_task(limiter.run(), name="limits")
        renewing.add_done_callback(report_death)
        stack.push_async_callback(_stop, renewing)
        engine = await stack.enter_async_context(Engine(config))
        stack.callback(forget_process)
        labels = ModelLabels(configured_models(engine.config))
        state = StateMetrics(engine, labels, recorder, open_calls)
        counting = asyncio.create_task(state.run(), name="metrics")
        counting.add_done_callback(report_death)
        stack.push_async_callback(_stop, counting)
        observers: list[Observer] = [log_call, CallMetrics(labels)]
        if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
            from chat.observers.tracing import open_tracer  # a second of imports, for those who trace

            observers.append(stack.enter_context(open_tracer()))
        keyring = Keyring()
        stack.callback(keyring.close)
        if settings.ENVIRONMENT != "test":
            _spare_the_collector()
        yield {
            "keyring": keyring,
            "service": Service(
                engine=engine,
                recorder=recorder,
                open_calls=open_calls,
                row_maker=RowMaker(store_content=settings.STORE_CONTENT, redact=settings.REDACT_PATTERNS),
                answers=answers,
                gate=Gate(engine, limiter),
                labels=labels,
                observers=tuple(observers),
            ),
        }


def _spare_the_collector() -> None:
    """What is loaded by now stays for good: the garbage collector need not look at it again and again.

    A full collection would hold up everybody for tens of milliseconds. Nor need it look at every 700 new objects: a
    request makes more than that.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AT, 20, 20)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _close(roll_ups: RollUps, rolling_up: asyncio.Task[None]) -> None:
    roll_ups.close()
    await rolling_up


async def _finish(recorder: Recorder, recording: asyncio.Task[None]) -> None:
    await recorder.close()
    await recording
