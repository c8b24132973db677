"""Which ends of an attempt a provider bills: those at which a model has worked, whoever got its answer."""

from __future__ import annotations

from llm.errors import (
    ContextWindowExceeded,
    EmptyAnswer,
    InvalidRequest,
    ModelNotFound,
    NotSupported,
    StreamInterrupted,
    UpstreamAuthFailed,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.upstream.attempt_record import AttemptStatus

# The ends of an attempt at which the upstream has done some work that it bills.
WORKED = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.CANCELLED, AttemptStatus.LOST})

# The errors of an attempt for which the same holds.
WORKED_IN_VAIN = (StreamInterrupted, UpstreamTimeout, EmptyAnswer)

# The errors by which an upstream says that no model was asked, whatever the status of its answer is.
REFUSED = (
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    NotSupported,
    UpstreamAuthFailed,
    UpstreamRateLimited,
)

# The errors of a whole answer that was on its way, or would have been.
CUT = (StreamInterrupted, UpstreamTimeout, UpstreamUnavailable)
