"""HTTP_PROXY, HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE on the way to a provider, in a process of its own."""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from llm.simulator import SimulatorThread
from tests.support.database_servers import require
from tests.support.loopback import loopback_post
from tests.support.site_subprocess import SiteProcess
from tests.support.upstreams.forward_proxy import forward_proxy
from tests.support.upstreams.written_upstream import Json, Reply, WrittenUpstream

# No such host exists, so that only a proxy can reach it.
HOST = "api.example.invalid"
ANSWER: Json = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def ask(site: SiteProcess, model: str = "m") -> Json:
    answer: Json = loopback_post(f"{site.base_url}/chat", json={"prompt": "hi", "model": model}, timeout=30).json()
    return answer


def test_a_provider_is_asked_by_the_proxy_unless_no_proxy_names_it(tmp_path: Path, simulator: SimulatorThread) -> None:
    upstream = urlsplit(simulator.base_url)
    assert upstream.hostname
    assert upstream.port
    with forward_proxy((upstream.hostname, upstream.port)) as proxy:
        site = SiteProcess(
            tmp_path,
            upstream=f"http://{HOST}/v1?api-version=2024-10-21",
            PROVIDERS=f"near={simulator.base_url}",
            HTTP_PROXY=f"http://me:pass@{proxy.address}",
            NO_PROXY="localhost,127.0.0.0/8",
            HOME=str(tmp_path),
        )
        (tmp_path / ".netrc").write_text(f"machine {HOST} login other password netrc\n")
        (tmp_path / ".netrc").chmod(0o600)
        site.migrate()
        site.start()
        try:
            assert ask(site)["content"]
            assert ask(site, "near/m")["content"]
        finally:
            site.close()
        (head,) = proxy.seen
        assert head.startswith(f"POST http://{HOST}/v1/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n")
        assert "Authorization: Bearer sk-test-0123456789abcdef\r\n" in head
        assert f"Proxy-Authorization: Basic {base64.b64encode(b'me:pass').decode()}\r\n" in head


@pytest.mark.slow
def test_https_goes_through_the_proxy_as_it_is_and_the_certificate_may_be_our_own(tmp_path: Path) -> None:
    require(shutil.which("openssl"), "openssl")
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}"]
    command += ["-addext", f"subjectAltName=DNS:{HOST}", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    upstream = WrittenUpstream(lambda path, body: Reply(ANSWER))
    upstream.server.socket = context.wrap_socket(upstream.server.socket, server_side=True)
    with upstream, forward_proxy(("127.0.0.1", upstream.server.server_port)) as proxy:
        for trusted in (str(certificate), ""):
            site = SiteProcess(
                tmp_path,
                upstream=f"https://{HOST}/v1",
                HTTPS_PROXY=proxy.address,
                SSL_CERT_FILE=trusted,
                MAX_RETRIES="0",
            )
            site.migrate()
            site.start()
            try:
                answer = ask(site)
            finally:
                site.close()
            if trusted:
                assert answer["content"] == "Hello", answer
            else:
                assert answer["error"]["message"].startswith("The certificate of the provider 'openai' is not trusted.")
        assert [head.splitlines()[0] for head in proxy.seen] == [f"CONNECT {HOST}:443 HTTP/1.1"] * 2
        assert "sk-test" not in "".join(proxy.seen)
        assert len(upstream.seen) == 1
