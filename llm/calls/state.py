"""The states of a running call."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a call is in its life.

        CREATED ────> RUNNING ─────────────────────> RECORDING ────> SETTLED
           │             │                               ^
           └─ cancel() ──┴──> CANCELLED or STOPPING ─────┘

    A cancellation counts up to the moment when the outcome is known. From then on, all that `cancel()` says is that
    nobody reads the stream any more.
    """

    # The task has not taken its first step.
    CREATED = "created"

    # Models are asked, or a stream is passed on.
    RUNNING = "running"

    # The caller has gone, and what still runs is being ended.
    CANCELLED = "cancelled"

    # The same, because the service stops.
    STOPPING = "stopping"

    # The outcome is known, and `on_end` has it.
    RECORDING = "recording"

    # The outcome is recorded, or a defect has ended the call. Whoever waits for the call is told. Answers that nobody
    # waits for may still be read on.
    SETTLED = "settled"
