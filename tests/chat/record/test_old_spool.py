"""What a process of the version before has left in its spool goes into the tables of this version."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from chat.models import CallRecord
from chat.record.spool import REJECTED, Spool
from chat.record.writer import write

pytestmark = pytest.mark.django_db

# The columns that came with the true bill, and what they are where a line does not have them.
NEW: dict[str, Any] = {
    **dict.fromkeys(("cache_write_tokens", "audio_prompt_tokens", "audio_completion_tokens"), None),
    **dict.fromkeys(("web_searches", "file_searches", "original_cost_usd"), None),
    "service_tier": "",
    "cost_incomplete": False,
}
OF_A_CALL = {**NEW, "cost_estimated": False, "charged_usd": None}
OF_AN_ATTEMPT = {**NEW, "answered_model": "", "other_usage": None, "cost_stated": False}

# As the version before wrote it, with an attempt that lost a race.
TOKENS = {"prompt_tokens": 3, "completion_tokens": 18, "cached_tokens": 0, "reasoning_tokens": 0}
CALL = {
    **{"request_id": "req_old", "created_at": "2026-11-24T11:19:09.432430+00:00", "door": "parallel"},
    **{"operation": "chat.completions", "stored": False, "streamed": False, "route": "gpt-4o|gpt-4o-mini"},
    **{"model_requested": "gpt-4o", "metadata": {}, "api_key": "", "client_ip": "127.0.0.1", "user_agent": "curl"},
    **{"model_used": "gpt-4o-mini", "provider_used": "openai", "status": "succeeded", "fallback_triggered": False},
    **{"is_default_message": False, "error_code": "", "error_message": "", "http_status": 200, "latency_ms": 100},
    **{"time_to_first_token_ms": None, "finish_reason": "stop", "completion_id": "chatcmpl-1", "cached": False},
    **{"cost_usd": "0.0000112500", **TOKENS, "usage_estimated": False},
}
ATTEMPT = {
    **{"ordinal": 0, "model": "gpt-4o-mini", "provider": "openai", "status": "succeeded", "error_code": ""},
    **{"error_message": "", "http_status": 200, "raced": True, "started_after_ms": 0, "latency_ms": 98},
    **{"time_to_first_token_ms": None, "upstream_request_id": "", "read_on": False},
    **{"cost_usd": "0.0000112500", **TOKENS, "usage_estimated": False},
}
CONTENT = {"messages": [], "parameters": {}, "content": "Hi", "completion": {"id": "chatcmpl-1"}}


def test_a_line_without_the_new_columns_gets_their_defaults(tmp_path: Path) -> None:
    line = {"call": CALL, "attempts": [ATTEMPT], "content": CONTENT, "announced": False, "amends": False}
    text = json.dumps(line).encode()
    (tmp_path / "calls-old-1-aa.spool").write_bytes(b"%08x %b\n" % (zlib.crc32(text), text))
    spool = Spool(tmp_path)
    spool.adopt()
    assert spool.depth == 1
    while spool.replay_chunk(write):
        pass
    assert spool.depth == 0
    assert not (tmp_path / REJECTED).exists()
    call = CallRecord.objects.get(request_id="req_old")
    assert {name: getattr(call, name) for name in OF_A_CALL} == OF_A_CALL
    assert (call.prompt_tokens, str(call.cost_usd), call.body.answer) == (3, "0.0000112500", CONTENT["completion"])
    attempt = call.attempts.get()
    assert {name: getattr(attempt, name) for name in OF_AN_ATTEMPT} == OF_AN_ATTEMPT
