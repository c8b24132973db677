"""The command `manage.py api_key`."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from access.keys.keyring import Keyring
from access.models import ApiKey, ApiKeySecret

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> tuple[str, str]:
    """Run the command, and return what it prints to standard output and to standard error."""
    out, err = StringIO(), StringIO()
    call_command("api_key", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_new_key_is_all_that_is_printed_and_only_its_hash_is_kept() -> None:
    out, err = run("create", "app")
    assert re.fullmatch(r"sk-orch-[A-Za-z0-9_-]{43}\n", out)
    assert "only time" in err
    secret = out.strip()
    assert secret not in repr(list(ApiKeySecret.objects.values())) + repr(list(ApiKey.objects.values()))
    assert Keyring().find(secret).name == "app"


def test_a_key_is_made_with_all_that_is_asked_for() -> None:
    run(
        *("create", "app", "--owner", "Ada", "--scopes", "chat,read_all", "--models", "gpt-4o*,fast"),
        *("--expires-in", "90d", "--rate-limit", "60/min", "--tokens-per-minute", "1000", "--max-concurrent", "3"),
        *("--usd-per-day", "1.50", "--usd-per-month", "20"),
    )
    key = ApiKey.objects.get()
    assert (key.owner, key.scopes, key.model_patterns) == ("Ada", ["chat", "read_all"], ("gpt-4o*", "fast"))
    assert key.expires_at is not None
    assert 89 <= (key.expires_at - timezone.now()).days <= 90
    assert (key.limits.requests.count, key.limits.max_concurrent) == (60, 3)  # type: ignore[union-attr]
    assert (str(key.limits.usd_per_day), str(key.limits.usd_per_month)) == ("1.5000", "20.0000")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "two words"), "name: Use letters"),
        (("create", ""), "name:"),
        (("create", "app", "--scopes", "root"), "scopes: Choose one or more of chat, read_all, admin"),
        (("create", "app", "--scopes", ""), "scopes:"),
        (("create", "app", "--rate-limit", "fast"), "rate_limit: 'fast' is no rate"),
        (("create", "app", "--usd-per-day", "-1"), "usd_per_day:"),
        (("create", "app", "--usd-per-day", "NaN"), "usd_per_day:"),
        (("create", "app", "--expires-in", "soon"), "is no age"),
        (("create", "app", "--max-concurrent", "0"), "max_concurrent:"),
        (("revoke", "nobody"), "There is no key 'nobody'"),
        (("rotate", "nobody"), "There is no key 'nobody'"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)):
        run(*arguments)
    assert not ApiKey.objects.exists()


def test_a_name_is_given_once_even_after_its_key_was_revoked() -> None:
    run("create", "app")
    run("revoke", "app")
    with pytest.raises(CommandError, match="name: "):
        run("create", "app")


def test_the_list_shows_keys_and_no_secret() -> None:
    secret = run("create", "app", "--owner", "Ada")[0].strip()
    newer = run("rotate", "app")[0].strip()
    run("create", "old")
    run("revoke", "old")
    listed = run("list")[0]
    app, old = listed.splitlines()[1:]
    assert re.search(rf"app +{re.escape(newer[:12])}…, {re.escape(secret[:12])}… +active +chat +Ada +never +never", app)
    assert "revoked" in old
    assert secret not in listed


def test_a_rotation_without_an_overlap_ends_the_old_key_at_once() -> None:
    secret = run("create", "app")[0].strip()
    newer = run("rotate", "app", "--overlap", "0h")[0].strip()
    with pytest.raises(AuthenticationFailed, match="expired"):
        Keyring().find(secret)
    assert Keyring().find(newer).name == "app"
