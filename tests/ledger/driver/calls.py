"""The random calls of a run: which door, which route, what is asked, and how long the caller waits.

All distributions stand here. Of what real traffic is made nobody knows in general: every kind is here often enough to
be seen in the table, which is more often than most of them are in real traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.ledger.driver.material import FUNCTIONS, USER_SENTENCES, Json, Material, picture, recording
from tests.ledger.upstream.media import PATCHES, TILES
from tests.ledger.upstream.prices import BILLS_WRITES, PRICES
from tests.ledger.upstream.texts import random_language, random_text

# How often each door is called.
DOORS = {
    "/chat": 16,
    "/chat/parallel": 13,
    "/chat/fallback": 10,
    "/chat/stream": 16,
    "/v1/chat/completions": 24,
    "/v1/responses": 14,
    "/v1/embeddings": 5,
    "/v1/completions": 2,
}

# How often a route is a single model, a race of two or of three, a chain, or a race with a chain behind it.
ROUTES = {"a": 50, "a|b": 18, "a|b|c": 7, "a>b": 15, "a|b>c": 10}

CHAT_MODELS = tuple(model for model in PRICES if not model.startswith(("text-", "gpt-audio", "gpt-3.5-turbo-instruct")))
TIERED = tuple(model for model in CHAT_MODELS if len(PRICES[model]) == 3)
VISION = (*TILES, *PATCHES)
RESPONSE_MODELS = ("gpt-4o", "gpt-4.1-mini", "o4-mini", "gpt-5.4", "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna")
EMBEDDING_MODELS = ("text-embedding-3-small", "text-embedding-3-large")

# How often a caller hangs up, and after how many seconds: uniform.
HANGS_UP = 0.12
PATIENCE = (0.01, 0.5)

# How often a call has a deadline, and how many seconds that is.
HAS_DEADLINE = 0.1
DEADLINE = (0.05, 0.4)

# How often a race starts its racers one after the other, and how many seconds after each other.
HEDGES = 0.3
HEDGE_AFTER = 0.05

# How often a call has a limit for its answer, and how many tokens that is.
HAS_LIMIT = 0.2
LIMIT = (30, 400)

# How often, of the calls that can have it: another tier, functions, a picture, a recording, a search, a long prompt.
TIER = 0.3
TOOLS = 0.25
PICTURE = 0.08
RECORDING = 0.08
SEARCH = 0.3
LONG_PROMPT = 0.03

# How often a prompt begins with one of the system prompts, and how often it continues one of the conversations.
SYSTEM_PROMPT = 0.4
CONVERSATION = 0.3


# Before the random calls each model answers this many times in peace, as a chat completion and as a response. A service
# that has just started knows no model's speed, and a default that suits real models would not suit these, which are ten
# times faster. These calls are not in the table. Their numbers begin here.
WARM_UP = 5
WARM_UP_FROM = 1_000_000


@dataclass(slots=True)
class Call:
    mark: str
    path: str
    body: Json
    headers: dict[str, str] = field(default_factory=dict)
    # After how many seconds the caller hangs up; None if it waits.
    hangs_up_after: float | None = None

    @property
    def is_hurried(self) -> bool:
        """Whether an answer may come too late for it."""
        return self.hangs_up_after is not None or "timeout" in self.body or "x-timeout" in self.headers


class Caller:
    """Makes up calls. Each call has its own chance, which depends on the seed and its number alone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._material = Material(seed)

    def warm_up(self) -> list[Call]:
        asked = [("/v1/chat/completions", model) for model in CHAT_MODELS * WARM_UP]
        asked += [("/v1/responses", model) for model in RESPONSE_MODELS * WARM_UP]
        return [self._in_peace(path, model, WARM_UP_FROM + number) for number, (path, model) in enumerate(asked)]

    def _in_peace(self, path: str, model: str, number: int) -> Call:
        random = Random(f"warm-up {self._seed} {number}")
        call = Call(mark=f"ledger-{self._seed}-{number}", path=path, body={"model": model})
        call.headers["X-Request-ID"] = call.mark
        question = self._question(call, random)
        if path == "/v1/responses":
            call.body["input"] = question
        else:
            call.body["messages"] = [{"role": "user", "content": question}]
        call.body["stream"] = random.random() < 0.5
        return call

    def call(self, number: int) -> Call:
        random = Random(f"call {self._seed} {number}")
        path = random.choices(list(DOORS), list(DOORS.values()))[0]
        call = Call(mark=f"ledger-{self._seed}-{number}", path=path, body={})
        call.headers["X-Request-ID"] = call.mark
        match path:
            case "/v1/embeddings":
                self._embed(call, random)
            case "/v1/completions":
                call.body = {"model": "gpt-3.5-turbo-instruct", "prompt": self._question(call, random)}
                call.body["stream"] = random.random() < 0.5
            case "/v1/responses":
                self._respond(call, random)
            case "/v1/chat/completions":
                self._complete(call, random)
            case _:
                self._chat(call, random)
        if not call.body.pop("patient", False):
            self._lose_patience(call, random)
        return call

    def _question(self, call: Call, random: Random) -> str:
        """It ends with the mark, because what comes before may be in the prompt cache."""
        return f"{random_text(random, random_language(random), random.randint(*USER_SENTENCES))} [{call.mark}]"

    def _messages(self, call: Call, random: Random, *, breakpoints: bool = False) -> list[Json]:
        messages: list[Json] = []
        if random.random() < SYSTEM_PROMPT:
            content: Any = random.choice(self._material.system_prompts)
            if breakpoints and random.random() < 0.5:
                content = [{"type": "text", "text": content, "prompt_cache_breakpoint": {"mode": "explicit"}}]
            messages.append({"role": "system", "content": content})
        if random.random() < CONVERSATION:
            turns = random.choice(self._material.conversations)
            ends = [index + 1 for index, turn in enumerate(turns) if turn["role"] == "assistant" and turn["content"]]
            messages += turns[: random.choice(ends)]
        return [*messages, {"role": "user", "content": self._question(call, random)}]

    def _chat(self, call: Call, random: Random) -> None:
        call.body = {"messages": self._messages(call, random)}
        models = random.sample(CHAT_MODELS, 3)
        if call.path == "/chat/parallel":
            call.body["models"] = models[: random.choice((2, 2, 3))]
        elif call.path == "/chat/fallback":
            call.body |= {"primary_model": models[0], "fallback_models": models[1 : random.choice((2, 3))]}
        else:
            call.body["model"] = _route(random, models)
        if call.path == "/chat/stream" and random.random() < 0.5:
            call.body["events"] = "json"
        if random.random() < HAS_LIMIT:
            call.body["max_tokens"] = random.randint(*LIMIT)
        if random.random() < HEDGES:
            call.body["hedge_after"] = HEDGE_AFTER
        if random.random() < HAS_DEADLINE:
            call.body["timeout"] = random.uniform(*DEADLINE)

    def _complete(self, call: Call, random: Random) -> None:
        stream = random.random() < 0.5
        if random.random() < RECORDING:
            self._listen(call, random, stream)
        elif random.random() < PICTURE:
            self._look(call, random)
        else:
            models = random.sample(TIERED if random.random() < TIER else CHAT_MODELS, 3)
            breakpoints = models[0] in BILLS_WRITES
            call.body = {
                "model": _route(random, models),
                "messages": self._messages(call, random, breakpoints=breakpoints),
            }
            if all(model in TIERED for model in models):
                call.body["service_tier"] = random.choice(("flex", "priority"))
            if random.random() < TOOLS:
                call.body["tools"] = [{"type": "function", "function": function} for function in FUNCTIONS]
        if random.random() < HAS_LIMIT:
            call.body["max_completion_tokens"] = random.randint(*LIMIT)
        if stream:
            call.body["stream"] = True
            if random.random() < 0.5:
                call.body["stream_options"] = {"include_usage": True}
        self._set_clocks(call, random)

    def _listen(self, call: Call, random: Random, stream: bool) -> None:
        heard = {"type": "input_audio", "input_audio": {"data": recording(random), "format": "wav"}}
        parts = [{"type": "text", "text": self._question(call, random)}, heard]
        call.body = {"model": "gpt-audio", "messages": [{"role": "user", "content": parts}]}
        if random.random() < 0.5:
            spoken = {"voice": "alloy", "format": "pcm16" if stream else "wav"}
            call.body |= {"modalities": ["text", "audio"], "audio": spoken}

    def _look(self, call: Call, random: Random) -> None:
        detail = random.choice(("low", "high", "auto"))
        models = random.sample(VISION, 3)
        if any(model in PATCHES for model in models):
            detail = "high"  # what low detail costs with patches is not published
        seen = {"type": "image_url", "image_url": {"url": picture(random), "detail": detail}}
        parts = [{"type": "text", "text": self._question(call, random)}, seen]
        call.body = {"model": _route(random, models), "messages": [{"role": "user", "content": parts}]}

    def _respond(self, call: Call, random: Random) -> None:
        models = random.sample(RESPONSE_MODELS, 3)
        call.body = {"model": _route(random, models), "input": self._question(call, random)}
        if random.random() < LONG_PROMPT:
            # Nobody hangs up on it: one long prompt that is cut would be a large part of so small a bill.
            text = f"{self._material.long_document} [{call.mark}]"
            call.body |= {"model": "gpt-5.6-luna", "input": text, "patient": True}
        elif random.random() < SYSTEM_PROMPT:
            call.body["instructions"] = random.choice(self._material.system_prompts)
        tools: list[Json] = []
        if random.random() < SEARCH:
            tools.append({"type": "web_search"})
        if random.random() < SEARCH / 2:
            tools.append({"type": "file_search", "vector_store_ids": ["vs_1"]})
        if random.random() < TOOLS:
            tools += [{"type": "function", **function} for function in FUNCTIONS]
        if tools:
            call.body["tools"] = tools
        if random.random() < TIER and set(models) <= set(TIERED):
            call.body["service_tier"] = random.choice(("flex", "priority"))
        if random.random() < HAS_LIMIT:
            call.body["max_output_tokens"] = random.randint(*LIMIT)
        if random.random() < 0.5:
            call.body["stream"] = True
        self._set_clocks(call, random)

    def _embed(self, call: Call, random: Random) -> None:
        texts = [self._question(call, random) for _ in range(random.randint(1, 6))]
        route = "|".join(EMBEDDING_MODELS) if random.random() < 0.3 else random.choice(EMBEDDING_MODELS)
        call.body = {"model": route, "input": texts if len(texts) > 1 else texts[0]}

    def _set_clocks(self, call: Call, random: Random) -> None:
        if call.body.get("patient"):
            return
        if random.random() < HEDGES:
            call.headers["x-hedge-after"] = str(HEDGE_AFTER)
        if random.random() < HAS_DEADLINE:
            call.headers["x-timeout"] = f"{random.uniform(*DEADLINE):.3f}"

    def _lose_patience(self, call: Call, random: Random) -> None:
        if random.random() < HANGS_UP:
            call.hangs_up_after = random.uniform(*PATIENCE)


def _route(random: Random, models: list[str]) -> str:
    notation = random.choices(list(ROUTES), list(ROUTES.values()))[0]
    return "".join(dict(zip("abc", models, strict=True)).get(letter, letter) for letter in notation)
