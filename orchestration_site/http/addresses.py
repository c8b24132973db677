"""Gives each address of the API its standard form, so that everything below knows one address for each thing.

Clients put addresses together in many ways. Azure's have other ones for the same APIs. Others add `/v1` to a base URL
that has it already, or don't add it where it is missing, or leave a slash too many. A redirect would not help them: it
makes a GET of a POST, or loses the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from orchestration_site.http.asgi_types import Application, AsgiScope, Receive, Send

# What stands before the name of an API of OpenAI's, in any order and number. The standard form is one `v1`.
PREFIXES = ("v1", "openai")
# The names of OpenAI's APIs that are known without a prefix too, for clients whose base URL lacks it.
WITHOUT_PREFIX = ("completions", "embeddings", "responses", "models", "moderations", "deployments")
# The APIs that Azure has under `deployments/{model}`.
DEPLOYED = (
    ("chat", "completions"),
    ("completions",),
    ("embeddings",),
    ("responses",),
    ("audio", "transcriptions"),
    ("audio", "translations"),
    ("audio", "speech"),
    ("images", "generations"),
    ("images", "edits"),
)
# The first parts of the addresses whose form may be wrong. All others, such as those of the admin, are taken exactly.
FORGIVING = ("v1", "chat", "calls", "stats")
# Azure's clients say in the query which version of its API they speak. There is one here.
VERSION_PARAMETER = b"api-version="


@dataclass(frozen=True, slots=True)
class Address:
    """An address in its standard form, and the model that it names if it is one of Azure's deployments."""

    path: str
    deployment: str = ""


class Addresses:
    """Wraps an ASGI application. The model that an address names is in `scope["state"]["deployment"]`."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            prefix = scope.get("root_path", "")
            sent = below_root(scope["path"].removeprefix(prefix), prefix)
            raw = (scope.get("raw_path") or b"").decode("latin-1")
            address = read_address(sent, below_root(raw.removeprefix(prefix), prefix))
            if prefix + address.path != scope["path"]:
                scope = {**scope, "path": prefix + address.path}
            if address.deployment:
                scope.setdefault("state", {})["deployment"] = address.deployment
            if VERSION_PARAMETER in scope["query_string"] and address.path.startswith("/v1/"):
                parameters = scope["query_string"].split(b"&")
                kept = [parameter for parameter in parameters if not parameter.startswith(VERSION_PARAMETER)]
                scope = {**scope, "query_string": b"&".join(kept)}
        await self._application(scope, receive, send)


def read_address(path: str, raw_path: str = "") -> Address:
    """The address that a client means.

    `raw_path` is the path before it was decoded, if that is known. There a slash in the name of a model differs from
    one that separates two parts.
    """
    if _is_standard(path):  # nearly always
        return Address(path)
    parts = [unquote(part) for part in (raw_path or path).split("/") if part]
    names = parts.copy()
    while names and names[0] in PREFIXES:
        del names[0]
    has_prefix = len(names) < len(parts)
    if not has_prefix and not (names and names[0] in WITHOUT_PREFIX) and names[:2] != ["chat", "completions"]:
        return Address("/" + "/".join(parts)) if parts and parts[0] in FORGIVING else Address(path)
    if names[:1] == ["deployments"]:
        for api in DEPLOYED:
            if tuple(names[-len(api) :]) == api and len(names) > len(api) + 1:
                return Address("/".join(["/v1", *api]), "/".join(names[1 : -len(api)]))
    return Address("/".join(["/v1", *names]))


def below_root(path: str, root_path: str) -> str:
    """The path without the root path, which some proxies take away before they pass a request on, and others do not."""
    first = root_path[1:].partition("/")[0]
    if not root_path or first in (*FORGIVING, *PREFIXES, *WITHOUT_PREFIX) or not path.startswith(f"{root_path}/"):
        return path
    return path.removeprefix(root_path)


def _is_standard(path: str) -> bool:
    """Whether an address is certainly in its standard form, or none of those that are put into one."""
    if "//" in path or path.endswith("/"):
        return False
    first, _, rest = path[1:].partition("/")
    if first == "v1":
        return rest.partition("/")[0] not in (*PREFIXES, "deployments")
    return first not in PREFIXES and first not in WITHOUT_PREFIX and (first != "chat" or not rest.startswith("comp"))
