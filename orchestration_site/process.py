"""What one process of the service holds open: the engine, the recorder, background tasks, the simulator."""

from __future__ import annotations

import dataclasses
import gc
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from access.keys.keyring import Keyring
from access.limits.limiter import open_limiter
from chat.background_tasks import background_task
from chat.call.answer_cache import CacheConfig, open_cache
from chat.call.gate import Gate
from chat.call.start import Observer, ProcessParts
from chat.history.spending import spent
from chat.observers.log import log_call, log_late_end
from chat.observers.metrics import CallMetrics, StateMetrics, forget_process
from chat.observers.model_labels import ModelLabels
from chat.record.open_calls import OpenCalls
from chat.record.recorder import Recorder
from chat.record.row_maker import RowMaker
from llm import Engine, EngineConfig, parse_route
from llm.simulator import serve
from orchestration_site.grace_period import GracePeriod
from orchestration_site.start import try_folders
from stats.reconciliation.metrics import watch_reconciliations
from stats.roll_ups.task import RollUps

logger = logging.getLogger("orchestration_site")

# The garbage collector looks at the young objects after so many new ones. Python's default is 700, and a single request
# makes more than that.
YOUNG_OBJECTS = 10_000


@asynccontextmanager
async def open_service() -> AsyncGenerator[dict[str, Any]]:
    """Open everything that lives as long as the process. Yields what each request finds in `scope["state"]`.

    What was opened first is closed last: open calls end before the recorder does, so that each of them is recorded.
    """
    if settings.PRODUCTION:
        refuse_bad_settings()
    if settings.ENVIRONMENT != "test":  # tests open a service a thousand times
        try_folders()
    for name, meant in settings.MISSPELT.items():
        logger.warning("unknown_setting", extra={"detail": f".env sets {name}. Did you mean {meant}?"})
    config = engine_config()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        if settings.SIMULATED:
            config = await enter(_with_simulator(config))
        recorder = Recorder(settings.SPOOL_DIR)
        await enter(background_task("recorder", recorder.run, close=recorder.close))
        open_calls = OpenCalls(recorder)
        await enter(background_task("open calls", open_calls.run))
        cache_config = CacheConfig(redis_url=settings.REDIS_URL, max_bytes=settings.CACHE_MAX_BYTES)
        answers = await enter(open_cache(cache_config))
        roll_ups = RollUps()
        await enter(background_task("roll-ups", roll_ups.run, close=roll_ups.close))
        await enter(background_task("reconciliations", watch_reconciliations))
        limiter = await enter(open_limiter(settings.REDIS_URL, spent))
        await enter(background_task("limits", limiter.run))
        engine = await enter(Engine(config))
        stack.callback(forget_process)
        labels = ModelLabels(model_names_in_settings(engine.config))
        state_metrics = StateMetrics(engine, labels, recorder, open_calls)
        await enter(background_task("metrics", state_metrics.run))
        call_metrics = CallMetrics(labels)
        observers: list[Observer] = [log_call, call_metrics]
        if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
            # Imported here, because the import takes a second, and only those who trace should pay for it.
            from chat.observers.tracing import open_tracer

            observers.append(stack.enter_context(open_tracer()))
        grace = GracePeriod(settings.SHUTDOWN_GRACE)
        stack.push_async_callback(_finish_reading_on, engine, grace)
        keyring = Keyring()
        stack.callback(keyring.close)
        if settings.ENVIRONMENT != "test":
            _tune_garbage_collector()
        yield {
            "keyring": keyring,
            "parts": ProcessParts(
                engine=engine,
                recorder=recorder,
                open_calls=open_calls,
                row_maker=RowMaker(store_content=settings.STORE_CONTENT, redact=settings.REDACT_PATTERNS),
                answers=answers,
                gate=Gate(engine, limiter),
                labels=labels,
                observers=tuple(observers),
                late_observers=(log_late_end, call_metrics.late_end),
            ),
            "grace": grace,
        }


async def _finish_reading_on(engine: Engine, grace: GracePeriod) -> None:
    await engine.finish_reading_on(within=grace.seconds_left())


def refuse_bad_settings() -> None:
    """Run the system checks, as `manage.py` does before a command. Raises ImproperlyConfigured if one of them fails.

    A server such as uvicorn can be started without `manage.py`, and nobody has run the checks then.
    """
    if errors := [str(message) for message in run_checks() if message.is_serious()]:
        raise ImproperlyConfigured("\n".join(errors))


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
        read_on_seconds=settings.READ_ON_SECONDS,
        read_on_calls=settings.READ_ON_CALLS,
        fetch_as_streams=settings.FETCH_AS_STREAMS,
        max_retries=settings.MAX_RETRIES,
        hedge_budget=settings.HEDGE_BUDGET,
        breaker_failures=settings.BREAKER_FAILURES,
        breaker_cooldown=settings.BREAKER_COOLDOWN,
    )


def model_names_in_settings(config: EngineConfig) -> set[str]:
    """The names of all models that DEFAULT_MODEL, FALLBACK_MODELS and ROUTES name."""
    written = [settings.DEFAULT_MODEL, *settings.FALLBACK_MODELS, *config.routes]
    routes = [
        parse_route(route, providers=config.providers, default_provider=config.default_provider, routes=config.routes)
        for route in written
    ]
    return {model.name for route in routes for stage in route.stages for model in stage.models}


@asynccontextmanager
async def _with_simulator(config: EngineConfig) -> AsyncGenerator[EngineConfig]:
    """Run the bundled simulator. Yields the configuration with the simulator's address in the default provider."""
    async with serve() as simulator:
        logger.warning(
            "no_openai_key", extra={"detail": "OPENAI_API_KEY is not set: the bundled simulator answers, not OpenAI."}
        )
        name = config.default_provider
        provider = dataclasses.replace(config.providers[name], base_url=simulator.base_url)
        yield dataclasses.replace(config, providers={**config.providers, name: provider})


def _tune_garbage_collector() -> None:
    """Let the garbage collector hold up requests less often.

    What is loaded by now stays until the process ends, so it is frozen. Otherwise each full collection would look at it
    again, and hold up every request for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
