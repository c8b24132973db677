"""The bill of one attempt: what its answer tells of the tier, the model, the tools and the cost, and the prices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from llm.config import Provider
from llm.costs.model_versions import is_same_model
from llm.costs.pricing import PriceList
from llm.costs.rate import Cost
from llm.costs.usage import Usage
from llm.json_values import Json
from llm.operations import Operation
from llm.operations.billing.tier import told_tier


@dataclass(frozen=True, slots=True)
class Bill:
    """`service_tier` and `answered_model` are as the answer tells them; the latter is empty if it names no other model.

    If the tokens are a guess and no tier was told, `service_tier` is the one that was asked for.

    `cost` is that of `usage`, unless the provider stated a cost.
    """

    usage: Usage | None
    service_tier: str
    answered_model: str
    cost: Cost


def make_bill(
    usage: Usage | None,
    answer: Json,
    prices: PriceList,
    *,
    operation: Operation,
    provider: Provider,
    model: str,
    asked_tier: str,
    header_usd: Decimal | None,
) -> Bill:
    """The bill for the tokens of `usage` and for all else that the answer tells, as far as that has come.

    `header_usd` is a cost that was stated in a header. The tier that was asked is a guess where nobody has told which
    one was served, and counts only beside tokens that are guessed too: a provider that answers in full and names no
    tier has none.
    """
    tier, named = told_tier(answer), answer.get("model")
    answered = named if isinstance(named, str) and named and not is_same_model(model, named) else ""
    tools = operation.tools_used(answer, answered or model)
    if usage is not None and (tools.web_searches or tools.file_searches or tools.has_other_costs):
        usage = replace(
            usage,
            web_searches=max(usage.web_searches, tools.web_searches),
            file_searches=max(usage.file_searches, tools.file_searches),
            other_tools=int(tools.has_other_costs),
        )
    stated_usd = operation.stated_cost(answer)
    stated_usd = stated_usd or header_usd or stated_usd  # a zero gives way to the header
    if usage is None and not stated_usd:
        return Bill(None, tier, answered, Cost(None))
    tier = tier or (asked_tier if usage is not None and usage.estimated else "")
    cost = prices.cost(provider, model, usage or Usage(0, 0), tier=tier, answered_model=answered, stated_usd=stated_usd)
    return Bill(usage, tier, answered, cost)
