"""The admin pages of API keys."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from access.keys.key_lifecycle import create_key, revoke_key
from access.keys.keyring import Keyring
from access.models import ApiKey

LIST = "/admin/access/apikey/"
FORM = {"name": "app", "owner": "Ada", "scopes": ["chat"], "rate_limit": "60/min"}


@pytest.fixture
def admin(transactional_db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create(username="admin", is_staff=True, is_superuser=True))
    return client


def secrets_on(page: str) -> list[str]:
    return re.findall(r'value="(sk-orch-[^"]+)"', page)


def listed(client: Client, query: str = "") -> list[str]:
    page = client.get(f"{LIST}{query}").content.decode()
    return re.findall(r'class="field-name"><a [^>]*>([^<]+)</a>', page)


def test_a_new_key_is_shown_once_and_kept_nowhere(admin: Client) -> None:
    answer = admin.post(f"{LIST}add/", FORM)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    (secret,) = secrets_on(answer.content.decode())
    assert Keyring().find(secret).name == "app"
    assert secret not in "".join(cookie.value for cookie in admin.cookies.values())
    assert not [session for session in Session.objects.all() if secret in repr(session.get_decoded())]
    for page in (LIST, f"{LIST}{ApiKey.objects.get().pk}/change/", f"{LIST}{ApiKey.objects.get().pk}/history/"):
        shown = admin.get(page)
        assert shown.status_code == 200
        assert secret not in shown.content.decode()
    assert f"{secret[:12]}…" in admin.get(LIST).content.decode()


def test_a_form_that_is_wrong_makes_no_key(admin: Client) -> None:
    for wrong in ({"rate_limit": "fast"}, {"name": "two words"}, {"scopes": ["root"]}, {"usd_per_day": "-1"}):
        answer = admin.post(f"{LIST}add/", {**FORM, **wrong})
        assert "errorlist" in answer.content.decode()
        assert not secrets_on(answer.content.decode())
    assert not ApiKey.objects.exists()


def test_a_change_shows_no_key_and_leaves_the_name(admin: Client) -> None:
    secret = create_key(key=ApiKey(name="app"))
    pk = ApiKey.objects.get().pk
    answer = admin.post(f"{LIST}{pk}/change/", {**FORM, "name": "other", "max_concurrent": "3"}, follow=True)
    assert answer.status_code == 200
    assert not secrets_on(answer.content.decode())
    assert (ApiKey.objects.get().name, ApiKey.objects.get().max_concurrent) == ("app", 3)
    assert Keyring().find(secret).limits.max_concurrent == 3


def test_keys_are_rotated_and_revoked_and_never_deleted(admin: Client) -> None:
    first = create_key(key=ApiKey(name="app"))
    create_key(key=ApiKey(name="other"))
    keys = {"_selected_action": [ApiKey.objects.get(name="app").pk]}
    (second,) = secrets_on(admin.post(LIST, {"action": "rotate", **keys}).content.decode())
    assert Keyring().find(first).name == Keyring().find(second).name == "app"
    assert "Revoked." in admin.post(LIST, {"action": "revoke", **keys}, follow=True).content.decode()
    assert ApiKey.objects.get(name="app").state == "revoked"
    assert "is revoked" in admin.post(LIST, {"action": "rotate", **keys}, follow=True).content.decode()
    assert ApiKey.objects.get(name="other").state == "active"
    assert "delete_selected" not in admin.get(LIST).content.decode()
    assert admin.post(f"{LIST}{keys['_selected_action'][0]}/delete/", {"post": "yes"}).status_code == 403


def test_keys_are_found_by_state_owner_and_search(admin: Client) -> None:
    secret = create_key(key=ApiKey(name="app", owner="Ada"))
    create_key(key=ApiKey(name="late", owner="Bob", expires_at=timezone.now() - timedelta(1)))
    create_key(key=ApiKey(name="gone", owner="Bob"))
    revoke_key(key=ApiKey.objects.get(name="gone"))
    assert listed(admin, "?state=active") == ["app"]
    assert listed(admin, "?state=expired") == ["late"]
    assert listed(admin, "?state=revoked") == ["gone"]
    assert listed(admin, "?owner=Bob") == ["gone", "late"]
    assert listed(admin, f"?q={secret[:12]}") == listed(admin, "?q=Ada") == ["app"]


def test_who_may_only_view_keys_can_neither_make_rotate_nor_revoke_one(db: None) -> None:
    create_key(key=ApiKey(name="app"))
    viewer = User.objects.create(username="viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client = Client()
    client.force_login(viewer)
    assert listed(client) == ["app"]
    assert client.post(f"{LIST}add/", FORM).status_code == 403
    for action in ("rotate", "revoke"):
        client.post(LIST, {"action": action, "_selected_action": [ApiKey.objects.get().pk]})
    assert ApiKey.objects.get().state == "active"
    assert ApiKey.objects.get().secrets.count() == 1
