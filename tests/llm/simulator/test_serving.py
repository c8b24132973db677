"""Starting and stopping the simulator: in an event loop, in a thread, and as a process."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
import time

import httpx2
import pytest

from llm.simulator import SIM_MODELS, Behaviour, RunningSimulator, SimulatorThread, serve
from tests.llm.simulator.chat_client import CUT, HELLO, ask, eventually
from tests.support.loopback import async_loopback_client, loopback_client, loopback_get


async def test_leaving_serve_ends_open_streams_at_once_and_in_silence(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with async_loopback_client(headers={"Authorization": "Bearer any"}, timeout=10) as client:
        async with serve() as running:
            for model, behaviour in {"a": Behaviour(stall_after=1), "b": Behaviour(latency_s=60)}.items():
                running.state.script(model, behaviour)
            url = f"{running.base_url}/chat/completions"
            bodies = [{"model": model, "messages": HELLO, "stream": True} for model in ("a", "b", "a", "b")]
            asking = [asyncio.create_task(client.post(url, json=body)) for body in bodies]
            await eventually(lambda: running.state.open_requests == 4)
            left_at = time.perf_counter()
        assert time.perf_counter() - left_at < 5
        assert all(isinstance(outcome, CUT) for outcome in await asyncio.gather(*asking, return_exceptions=True))
        assert {seen["ended"] for seen in running.state.requests()} == {"disconnected"}
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "asyncio"))] == []
    assert capsys.readouterr() == ("", "")


async def test_no_failure_makes_noise(http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    for model in set(SIM_MODELS) - {"sim-timeout", "sim-stall", "sim-slow"}:
        for stream in (False, True):
            with contextlib.suppress(*CUT):
                await ask(http, model, stream=stream)
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "asyncio"))] == []


async def test_a_taken_port_is_an_os_error(simulator: RunningSimulator) -> None:
    with pytest.raises(OSError, match="in use"):
        async with serve(port=simulator.port):
            pass
    with pytest.raises(OSError, match="in use"), SimulatorThread(port=simulator.port):
        pass


def test_a_simulator_in_a_thread_serves_sync_code() -> None:
    headers = {"Authorization": "Bearer any"}
    with SimulatorThread() as simulator, loopback_client(base_url=simulator.base_url, headers=headers) as client:
        assert simulator.base_url == f"http://127.0.0.1:{simulator.port}/v1"
        simulator.script("m", Behaviour(status=500, times=1), Behaviour(answer="fine"))
        body = {"model": "m", "messages": HELLO}
        assert client.post("/chat/completions", json=body).status_code == 500
        assert client.post("/chat/completions", json=body).json()["choices"][0]["message"]["content"] == "fine"
        assert [seen["ended"] for seen in simulator.requests()] == ["complete", "complete"]
        simulator.reset()
        assert simulator.requests() == simulator.state.requests() == []
        assert "simulated" in client.post("/chat/completions", json=body).text
        assert len(simulator.requests()) == 1
    assert len(simulator.requests()) == 1
    with pytest.raises(httpx2.ConnectError):
        loopback_get(simulator.base_url)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_run_ends_cleanly_on_a_signal_with_a_stream_open(sign: signal.Signals) -> None:
    program = "from llm.simulator import run; run(port=0, on_ready=lambda s: print(s.base_url, flush=True))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(sys.executable, "-W", "error", "-c", program, **pipes)  # type: ignore[arg-type]
    assert process.stdout is not None
    base_url = (await process.stdout.readline()).decode().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", base_url)
    async with async_loopback_client(headers={"Authorization": "Bearer any"}) as client:
        body = {"model": "sim-stall", "messages": HELLO, "stream": True}
        async with client.stream("POST", f"{base_url}/chat/completions", json=body) as response:
            assert response.status_code == 200
            process.send_signal(sign)
            _, stderr = await process.communicate()
    assert (process.returncode, stderr) == (0, b"")


async def test_the_engine_package_imports_nothing_of_django() -> None:
    program = "import sys, llm.simulator; sys.exit('django' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0
