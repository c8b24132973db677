"""GET /v1/models"""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import openai
import pytest

from llm import Provider
from llm.simulator import SimulatorThread
from tests.support.openai_sdk import sdk_of

StartSite = Callable[..., httpx2.Client]


def test_the_sdk_lists_and_retrieves_what_the_settings_name(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site(
        DEFAULT_MODEL="gpt-4o",
        FALLBACK_MODELS=["gpt-4o-mini", "other/org/m1"],
        ROUTES={"fast": "gpt-4.1|other/m2>gpt-4o"},
        PROVIDERS={
            name: Provider(name=name, base_url=simulator.base_url, api_key="sk-0123456789")
            for name in ("openai", "other")
        },
    )
    sdk = sdk_of(client)
    models = {model.id: model.owned_by for model in sdk.models.list()}
    assert models == {
        "fast": "route",
        "gpt-4o": "openai",
        "gpt-4o-mini": "openai",
        "other/org/m1": "other",
        "gpt-4.1": "openai",
        "other/m2": "other",
    }
    for name, owner in models.items():
        model = sdk.models.retrieve(name)
        assert (model.id, model.object, model.owned_by) == (name, "model", owner)
        answered = sdk.chat.completions.create(model=name, messages=[{"role": "user", "content": "a"}])
        assert answered.choices[0].message.content
    with pytest.raises(openai.NotFoundError) as raised:
        sdk.models.retrieve("gpt-1")
    assert raised.value.code == "model_not_found"
