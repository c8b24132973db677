"""The tables of this package: what is kept of every call, and what repeated requests and the roll-ups need.

A call has its numbers, its content and its attempts in three tables, because they are read by different people at
different times. Lists and statistics read `CallRecord` and `Attempt`, and never what was said. That is in
`CallContent`, and can be deleted earlier than the numbers.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from chat.request_ids import ID_LENGTH

NAME_LENGTH = 200
ROUTE_LENGTH = 1000
TIER_LENGTH = 32


class Tokens(models.Model):
    """Token counts and their cost. A call has the same columns as an attempt.

    As OpenAI counts them, `cached_tokens` are the part of `prompt_tokens` that came from the provider's cache,
    `cache_write_tokens` the part that was written to it, and `audio_prompt_tokens` the part that was sound. In the same
    way, `reasoning_tokens` are the part of `completion_tokens` that the model used for thinking and did not say, and
    `audio_completion_tokens` the part that was sound. Each token is priced once. All are null where nothing is known,
    which is not the same as 0.

    `cost_usd` is what is known of the cost. If `cost_incomplete` is true, it is only a part, and the whole is more.
    """

    prompt_tokens = models.PositiveIntegerField(null=True)
    completion_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True)
    reasoning_tokens = models.PositiveIntegerField(null=True)
    cache_write_tokens = models.PositiveIntegerField(null=True)
    audio_prompt_tokens = models.PositiveIntegerField(null=True)
    audio_completion_tokens = models.PositiveIntegerField(null=True)
    web_searches = models.PositiveIntegerField(null=True)
    file_searches = models.PositiveIntegerField(null=True)
    service_tier = models.CharField(
        max_length=TIER_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text="The tier that was served, as the answer says.",
    )
    usage_estimated = models.BooleanField(default=False, help_text="The provider never said; we counted.")
    cost_usd = models.DecimalField(
        "cost (USD)", max_digits=20, decimal_places=10, null=True, help_text="Null where no price is known."
    )
    cost_incomplete = models.BooleanField(
        default=False, db_default=False, help_text="Something that was used has no known price, so the cost is more."
    )
    original_cost_usd = models.DecimalField(
        "original cost (USD)",
        max_digits=20,
        decimal_places=10,
        null=True,
        help_text="The cost before `reprice` changed it for the first time; null where it never did.",
    )

    class Meta:
        abstract = True


class CallRecord(Tokens):
    """One call: what a caller asked a door for, how it ended, and what it cost."""

    class Door(models.TextChoices):
        CHAT = "chat"
        PARALLEL = "parallel"
        FALLBACK = "fallback"
        STREAM = "stream"
        OPENAI = "openai"

    class Status(models.TextChoices):
        # A model answered.
        SUCCEEDED = "succeeded"
        # No model answered, and the caller got the default message.
        DEFAULTED = "defaulted"
        # The caller got an error.
        FAILED = "failed"
        # The call ended before its answer did: its caller went away, or the service stopped.
        CANCELLED = "cancelled"
        # The call has been running for a while. It still runs as long as its lease lasts.
        IN_PROGRESS = "in_progress"
        # The process that ran the call died.
        INTERRUPTED = "interrupted"

    # The calls that an error rate counts as errors.
    UNANSWERED = (Status.FAILED, Status.DEFAULTED, Status.INTERRUPTED)
    # The calls that an error rate leaves out, as errors and as calls, because nobody knows how they would have ended.
    UNDECIDED = (Status.CANCELLED, Status.IN_PROGRESS)
    # The calls some part of whose cost is a guess. Rows of versions before this column say it of the answer's tokens
    # only. A call that was answered from the cache costs nothing, whatever its tokens are.
    GUESSED = models.Q(cost_estimated=True) | models.Q(usage_estimated=True, cached=False)

    request_id = models.CharField(max_length=ID_LENGTH, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    door = models.CharField(max_length=16, choices=Door)
    operation = models.CharField(
        max_length=32, default="chat.completions", db_default="chat.completions", help_text="Which of OpenAI's APIs."
    )
    streamed = models.BooleanField(default=False)
    route = models.CharField(max_length=ROUTE_LENGTH, help_text="As it was written.")
    model_requested = models.CharField(max_length=NAME_LENGTH, help_text="The first model of the route.")
    model_used = models.CharField(max_length=NAME_LENGTH, blank=True, default="")
    provider_used = models.CharField(max_length=NAME_LENGTH, blank=True, default="")
    status = models.CharField(max_length=16, choices=Status)
    fallback_triggered = models.BooleanField(default=False)
    is_default_message = models.BooleanField(default=False)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    http_status = models.PositiveSmallIntegerField(null=True, help_text="What the caller was answered.")
    latency_ms = models.PositiveIntegerField(null=True)
    time_to_first_token_ms = models.PositiveIntegerField(null=True)
    finish_reason = models.CharField(max_length=64, blank=True, default="")
    completion_id = models.CharField(
        max_length=NAME_LENGTH, blank=True, default="", db_default="", help_text="The upstream's own id."
    )
    cost_estimated = models.BooleanField(
        default=False, db_default=False, help_text="Some part of the cost is a guess, be it that of a loser."
    )
    charged_usd = models.DecimalField(
        "charged (USD)",
        max_digits=20,
        decimal_places=10,
        null=True,
        help_text="What the budget of the key was charged, where that is not the cost.",
    )
    stored = models.BooleanField(default=False, db_default=False, help_text="The caller sent `store: true`.")
    cached = models.BooleanField(
        default=False, db_default=False, help_text="Answered from the cache; no model was asked."
    )
    metadata = models.JSONField(default=dict, blank=True)
    api_key = models.CharField(max_length=NAME_LENGTH, blank=True, default="")
    client_ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=400, blank=True, default="")
    lease_until = models.DateTimeField(
        null=True,
        help_text="Until when a process is believed to run the call, or to read on what nobody waits for; else null.",
    )

    class Meta:
        verbose_name = "call"
        indexes = (
            # Pages of the history go backwards over (created_at, id): without a filter, and with each of the filters.
            models.Index(fields=("created_at", "id"), name="call_created"),
            models.Index(fields=("status", "created_at", "id"), name="call_status"),
            models.Index(fields=("model_used", "created_at", "id"), name="call_model"),
            models.Index(fields=("provider_used", "created_at", "id"), name="call_provider"),
            models.Index(fields=("door", "created_at", "id"), name="call_door"),
            models.Index(fields=("api_key", "created_at", "id"), name="call_api_key"),
            models.Index(fields=("completion_id",), name="call_completion"),
            models.Index(fields=("created_at", "id"), name="call_stored", condition=models.Q(stored=True)),
            models.Index(fields=("lease_until",), name="call_lease", condition=models.Q(status="in_progress")),
        )

    def __str__(self) -> str:
        return self.request_id

    @property
    def cost_is_guessed(self) -> bool:
        """The same as `GUESSED`, of this call."""
        return self.cost_estimated or (self.usage_estimated and not self.cached)


class CallContent(models.Model):
    """What was said in a call. Absent where STORE_CONTENT is off, or where it was pruned."""

    call = models.OneToOneField(CallRecord, on_delete=models.CASCADE, primary_key=True, related_name="body")
    messages = models.JSONField(default=list)
    parameters = models.JSONField(default=dict)
    content = models.TextField(blank=True, default="")
    # The column kept its old name, so that processes of the version before can still write to it.
    answer = models.JSONField(null=True, db_column="completion", help_text="The whole answer as the upstream gave it.")

    def __str__(self) -> str:
        return f"content of {self.call_id}"


class Attempt(Tokens):
    """One HTTP request to an upstream, or one that was skipped because its circuit breaker was open."""

    class Status(models.TextChoices):
        # The caller got its answer.
        SUCCEEDED = "succeeded"
        # It ended in an error.
        FAILED = "failed"
        # It was ended early: another attempt had won, the caller had gone, or the service stopped.
        CANCELLED = "cancelled"
        # It succeeded in the same instant as the winner, and was not needed.
        LOST = "lost"
        # It was never sent, because the model's circuit breaker was open.
        SKIPPED = "skipped"

    call = models.ForeignKey(CallRecord, on_delete=models.CASCADE, related_name="attempts")
    ordinal = models.PositiveSmallIntegerField()
    model = models.CharField(max_length=NAME_LENGTH)
    provider = models.CharField(max_length=NAME_LENGTH)
    status = models.CharField(max_length=16, choices=Status)
    error_code = models.CharField(max_length=64, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    http_status = models.PositiveSmallIntegerField(null=True, help_text="What the upstream answered.")
    raced = models.BooleanField(default=False, help_text="It ran beside others of its stage.")
    started_after_ms = models.PositiveIntegerField(help_text="Since the call came in.")
    latency_ms = models.PositiveIntegerField(null=True)
    time_to_first_token_ms = models.PositiveIntegerField(null=True)
    upstream_request_id = models.CharField(max_length=NAME_LENGTH, blank=True, default="")
    answered_model = models.CharField(
        max_length=NAME_LENGTH,
        blank=True,
        default="",
        db_default="",
        help_text="The model that the answer names, where it is another than the one that was asked.",
    )
    other_usage = models.JSONField(
        null=True, help_text="Counts that have no column, such as tokens of images; null where there are none."
    )
    cost_stated = models.BooleanField(
        default=False, db_default=False, help_text="The provider stated the cost; it was not made from prices."
    )
    read_on = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Nobody waited for its answer any more, and it was read on because it is paid for.",
    )

    class Meta:
        ordering = ("call_id", "ordinal")
        constraints = (models.UniqueConstraint(fields=("call", "ordinal"), name="attempt_once"),)

    def __str__(self) -> str:
        return f"{self.model} {self.status}"

    @property
    def cost_is_guessed(self) -> bool:
        return self.usage_estimated and not self.cost_stated


class IdempotencyKey(models.Model):
    """A key under which a caller may repeat a request, and the answer that the repeated request gets.

    It is not answered while the first request runs. `claim` is the token of the request that holds the key. A request
    that takes the key over, because the one before it came to nothing, writes a claim of its own.
    """

    api_key = models.CharField(max_length=NAME_LENGTH, blank=True, default="")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="Of the address and the body.")
    request_id = models.CharField(max_length=ID_LENGTH)
    claim = models.CharField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    answered = models.BooleanField(default=False)
    content_type = models.CharField(max_length=100, blank=True, default="")
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=b"")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("api_key", "key"), name="idempotency_key_once"),)

    def __str__(self) -> str:
        return self.key


class LateHour(models.Model):
    """A note that calls of an hour were written, changed or deleted when they were old already. See `late_hours`.

    An hour may have several notes. Each writer leaves its own, so that the roll-up can delete exactly the notes that it
    has seen, and never one of a change that it has not seen.
    """

    hour = models.DateTimeField(db_index=True, help_text="Its first moment.")

    def __str__(self) -> str:
        return f"late in {self.hour:%Y-%m-%d %H}h"
