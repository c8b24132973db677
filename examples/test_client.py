"""A small client that you can copy into your own code, and an example of its use. Despite its name, this is not a test.

Start the service with `make run`, then: python examples/test_client.py
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import requests
import sseclient

__test__ = False  # this tells pytest that there are no tests in this file
Json = dict[str, Any]


class LLMError(Exception):
    """An error of the service: {"code", "message", "request_id", "details"}.

    An error of a proxy has only some of them.
    """

    def __init__(self, error: Json) -> None:
        self.code, self.request_id, self.details = error["code"], error.get("request_id"), error.get("details", {})
        super().__init__(f"{self.code}: {error.get('message')} (request {self.request_id})")


class LLMClient:
    """The doors of the service as methods. `options` are further fields of a request. All methods raise LLMError.

    `timeout` limits each call, in seconds, unless a call names another one. If the service says Retry-After, a request
    waits and is tried again, up to `tries` times in all. It never waits longer than `longest_wait` seconds.
    """

    def __init__(self, base_url: str, *, timeout: float = 60, tries: int = 3, longest_wait: float = 30) -> None:
        self.base_url, self.timeout, self.tries, self.longest_wait = base_url.rstrip("/"), timeout, tries, longest_wait
        self.session = requests.Session()

    def chat(self, prompt: str, **options: Any) -> Json:
        """Ask a model, or a route like `gpt-4o>gpt-4o-mini`, for an answer."""
        return dict(self._post("/chat", prompt=prompt, **options).json())

    def parallel(self, prompt: str, *models: str, **options: Any) -> Json:
        """Ask several models, and return the fastest success."""
        return dict(self._post("/chat/parallel", prompt=prompt, models=models, **options).json())

    def fallback(self, prompt: str, **options: Any) -> Json:
        """Ask `primary_model`, or else one of `fallback_models`. If none answers, return the `default_message`."""
        return dict(self._post("/chat/fallback", prompt=prompt, **options).json())

    def stream(self, prompt: str, **options: Any) -> Iterator[str]:
        """Yield the text, piece by piece, while it is written."""
        with self._post("/chat/stream", prompt=prompt, **options) as response:
            for event in sseclient.SSEClient(response).events():
                if event.event == "error":
                    raise LLMError(json.loads(event.data))
                if event.data == "[DONE]":
                    return
                yield event.data
        raise LLMError({"code": "stream_interrupted", "message": "The stream ended early."})

    def calls(self, **filters: Any) -> Iterator[Json]:
        """Yield the calls of the history, newest first, from all pages: `calls(status="failed", door="chat")`."""
        page = self._send("GET", f"{self.base_url}/calls", params=filters).json()
        yield from page["results"]
        while page["next"]:
            page = self._send("GET", page["next"]).json()
            yield from page["results"]

    def call(self, request_id: str) -> Json:
        """Return one call with its messages, its answer and its attempts."""
        return dict(self._send("GET", f"{self.base_url}/calls/{request_id}").json())

    def stats(self, **query: Any) -> Json:
        """Return latencies, costs and error rates: `stats(group_by="model")`."""
        return dict(self._send("GET", f"{self.base_url}/stats", params=query).json())

    def _post(self, path: str, **body: Any) -> requests.Response:
        timeout = body.setdefault("timeout", self.timeout)
        return self._send("POST", self.base_url + path, timeout, json=body, stream=path == "/chat/stream")

    def _send(self, method: str, url: str, timeout: float = 30, **options: Any) -> requests.Response:
        for tries_left in reversed(range(self.tries)):
            # We wait a little longer than the service does, so that it can tell us what went wrong.
            response = self.session.request(method, url, timeout=(5, timeout + 5), **options)
            if response.ok:
                return response
            error, wait = _error_of(response), response.headers.get("Retry-After", "")
            if not tries_left or not wait.isdecimal() or float(wait) > self.longest_wait:
                break
            time.sleep(float(wait))
        raise LLMError(error)


def _error_of(response: requests.Response) -> Json:
    try:
        return {"code": "unknown", **response.json()["error"]}
    except (ValueError, KeyError, TypeError):
        # This is no error of the service. It may be one of a proxy in front of it.
        return {"code": f"http_{response.status_code}", "message": response.reason}


def main(client: LLMClient) -> None:
    answer = client.chat("Hello, world!")
    print(f"chat:     {answer['content']}")
    print(f"parallel: won by {client.parallel('Hello!', 'sim-slow', 'gpt-4o-mini')['model_used']}")
    fallback = client.fallback("Hello!", primary_model="sim-503", fallback_models=["gpt-4o-mini"])
    print(f"fallback: {fallback['model_used']} in place of sim-503")
    print(f"stream:   {'|'.join(client.stream('Hello!', max_tokens=5))}")
    print(f"call:     {client.call(answer['request_id'])['messages']}")
    print(f"calls:    {[call['door'] for call in islice(client.calls(), 4)]}")
    print(f"stats:    {client.stats()['total_requests']} calls so far")
    try:
        client.chat("Hello!", model="sim-401")
    except LLMError as error:
        print(f"error:    {error}")


if __name__ == "__main__":
    url = os.environ.get("BASE_URL", "http://localhost:8000")
    try:
        main(LLMClient(url))
    except (LLMError, requests.RequestException) as error:
        sys.exit(f"No answer from {url}. Is the service running (`make run`)? {error}")
