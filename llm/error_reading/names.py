"""Which class an error is: by the names that providers give to errors, else by its status, made exact by its words."""

from __future__ import annotations

import re

from llm.error_reading import words
from llm.error_reading.shapes import Said
from llm.errors import (
    ContextWindowExceeded,
    InvalidRequest,
    InvalidUpstreamResponse,
    ModelNotFound,
    NotSupported,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamTimeout,
)

Kind = type[UpstreamError]

# Names that are exact, so that they count before the status, whether they stand in `code` or in `type`. Only letters
# and digits are compared, because one name is written as `not_supported`, `NotSupported` and `NOT_SUPPORTED`.
EXACT: dict[str, Kind] = {
    "contextlengthexceeded": ContextWindowExceeded,
    "contextwindowexceeded": ContextWindowExceeded,
    "exceedcontextsizeerror": ContextWindowExceeded,
    "modelcontextwindowexceeded": ContextWindowExceeded,
    "modelmaxprompttokensexceeded": ContextWindowExceeded,
    "notsupported": NotSupported,
    "notsupportederror": NotSupported,
    "notimplemented": NotSupported,
    "notimplementederror": NotSupported,
    "unimplemented": NotSupported,
    "operationnotsupported": NotSupported,
    "modelnotsupported": NotSupported,
    "unsupportedmodel": NotSupported,
    "endpointnotsupported": NotSupported,
}

# Names that count before the status in `code`, and in `type` only where there is no bad status, because a type is often
# too general.
NAMED: dict[str, Kind] = {
    "insufficientquota": UpstreamQuotaExceeded,
    "insufficientbalance": UpstreamQuotaExceeded,
    "billinghardlimitreached": UpstreamQuotaExceeded,
    "arrearage": UpstreamQuotaExceeded,
    "ratelimitexceeded": UpstreamRateLimited,
    "ratelimiterror": UpstreamRateLimited,
    "toomanyrequests": UpstreamRateLimited,
    "throttling": UpstreamRateLimited,
    "throttlingexception": UpstreamRateLimited,
    "resourceexhausted": UpstreamRateLimited,
    "modelnotfound": ModelNotFound,
    "deploymentnotfound": ModelNotFound,
    "notfound": ModelNotFound,
    "notfounderror": ModelNotFound,
    "invalidapikey": UpstreamAuthFailed,
    "authenticationerror": UpstreamAuthFailed,
    "unauthenticated": UpstreamAuthFailed,
    "unauthorized": UpstreamAuthFailed,
    "permissionerror": UpstreamAuthFailed,
    "permissiondenied": UpstreamAuthFailed,
    "invalidrequest": InvalidRequest,
    "invalidrequesterror": InvalidRequest,
    "badrequest": InvalidRequest,
    "badrequesterror": InvalidRequest,
    "invalidparameter": InvalidRequest,
    "invalidargument": InvalidRequest,
    "invalidprompt": InvalidRequest,
    "contentpolicyviolation": InvalidRequest,
    "validation": InvalidRequest,
    "validationerror": InvalidRequest,
    "timeout": UpstreamTimeout,
}

# What words may make more exact. Words of a rate limit, of a refused key or of a quota say nothing about the prompt.
GENERAL = (InvalidRequest, ModelNotFound, UpstreamFailed)


def error_class(said: Said, status: int | None) -> Kind:
    """The class of an error. `status` is that of the answer, or the one that the body of a 200 names."""
    if status == 402:
        return UpstreamQuotaExceeded  # whatever the code is: some providers give that of an invalid request
    code, kind = _key(said.code), _key(said.kind)
    if exact := EXACT.get(code) or EXACT.get(kind):
        return exact
    named = NAMED.get(code) or (NAMED.get(kind) if status in (None, 200) else None) or _by_status(status)
    if status == 403 and words.is_not_supported(said.message):
        return NotSupported  # OpenAI refuses an API that a model has not with this status
    return _by_words(named, said.message) if named in GENERAL else named


def _by_words(named: Kind, message: str) -> Kind:
    if words.is_token_rate_limit(message):
        return UpstreamRateLimited
    if words.is_prompt_too_long(message):
        return ContextWindowExceeded
    if words.is_not_supported(message) or (named is ModelNotFound and words.is_no_such_endpoint(message)):
        return NotSupported
    return named


def _key(name: str) -> str:
    """The letters and digits of a name, up to a dot: what follows in `Throttling.RateQuota` changes nothing here."""
    return re.sub(r"[^a-z0-9]", "", name.lower().partition(".")[0])


def _by_status(status: int | None) -> Kind:
    match status:
        case 401 | 403:
            return UpstreamAuthFailed
        case 404:
            return ModelNotFound
        case 405 | 501:
            return NotSupported
        case 408 | 409 | None | 200:
            return UpstreamFailed
        case 429:
            return UpstreamRateLimited
        case _ if status >= 500:
            return UpstreamFailed
        case _ if status >= 400:
            return InvalidRequest
    return InvalidUpstreamResponse
