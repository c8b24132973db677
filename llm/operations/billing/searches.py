"""The tools that a provider ran for an answer, as far as they are paid for one by one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from llm.json_values import Json

# The kinds of output items that cost what no usage states and no price list names: a container of the code interpreter
# is paid for by its size and time and serves many requests, and an image is paid for by its size.
PRICED_BY_OTHER_RULES: Final = frozenset({"code_interpreter_call", "image_generation_call", "shell_call"})

# The first version of the web search. With a model that does not reason it costs more than the one that followed it,
# and what it found costs nothing. Source: OpenAI's price page, "Web search preview (non-reasoning models)".
PREVIEW_TOOL: Final = "web_search_preview"
DOES_NOT_REASON: Final = re.compile(r"gpt-(4|3\.5)")

# Models that pay for 8,000 tokens of the prompt with each web search, whatever it found. Whether their usage has these
# tokens is not said. Source: OpenAI's price page, as quoted at modelcostwatch.com/openai/tool-costs/web-search
# (2026-03-12).
PAYS_A_FIXED_BLOCK: Final = re.compile(r"gpt-4(o|\.1)-mini")

# Models that search once for each request. Source: OpenAI's guide "Web search", "Chat Completions".
ALWAYS_SEARCHES: Final = re.compile(r"gpt-[^/]*-search-(preview|api)")


@dataclass(frozen=True, slots=True)
class ToolUse:
    """`has_other_costs` means that a tool was used whose cost can't be known from the answer."""

    web_searches: int = 0
    file_searches: int = 0
    has_other_costs: bool = False


NO_TOOLS: Final = ToolUse()


def tools_of_items(items: Iterable[Json], tools: Iterable[Json], model: str) -> ToolUse:
    """What the output items of a response paid for. `tools` are those that the model was allowed to use.

    Of a web search only the action `search` is paid for: to open a page or to find something in it is free. Source:
    OpenAI's guide "Web search".
    """
    web = files = 0
    other = False
    for item in items:
        match item.get("type"):
            case "web_search_call" if _has_run(item):
                web += _is_search(item.get("action"))
            case "file_search_call" if _has_run(item):
                files += 1
            case str(kind) if kind in PRICED_BY_OTHER_RULES:
                other = True
    plain_name = model.rpartition("/")[2]
    if web and PAYS_A_FIXED_BLOCK.match(plain_name):
        other = True
    elif web and DOES_NOT_REASON.match(plain_name):
        other = other or any(str(tool.get("type") or "").startswith(PREVIEW_TOOL) for tool in tools)
    return ToolUse(web, files, other)


def tools_of_model(model: str, *, has_answered: bool) -> ToolUse:
    """What a chat completion paid for beside its tokens: the search of a model that always searches."""
    return ToolUse(web_searches=1) if has_answered and _always_searches(model) else NO_TOOLS


def _has_run(item: Json) -> bool:
    """Whether the call of a tool was completed. Servers that name no status list it when it is."""
    return item.get("status") in (None, "completed")


def _is_search(action: Any) -> bool:
    return not isinstance(action, dict) or action.get("type", "search") == "search"


@lru_cache(maxsize=1_000)
def _always_searches(model: str) -> bool:
    return ALWAYS_SEARCHES.fullmatch(_undated(model)) is not None


def _undated(model: str) -> str:
    return re.sub(r"-20\d\d-\d\d-\d\d$", "", model.lower().rpartition("/")[2])
