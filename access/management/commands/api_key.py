"""`manage.py api_key create|list|revoke|rotate`.

`create` and `rotate` write only the secret to standard output, so that a shell can store it:
KEY=$(manage.py api_key create app).
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from access.ages import parse_age
from access.callers import Scope
from access.keys.key_lifecycle import DEFAULT_OVERLAP, KeyNotActive, create_key, revoke_key, rotate_key
from access.models import ApiKey, shown_parts

SHOWN_ONCE = "This is the only time that the key is shown, because only its hash is stored."


def dollars(written: str) -> Decimal:
    """Read an amount of US dollars. This is a type for argparse."""
    try:
        return Decimal(written)
    except InvalidOperation as error:
        raise ArgumentTypeError(f"'{written}' is no amount of US dollars.") from error


class Command(BaseCommand):
    help = "Makes, lists, revokes and rotates the keys of the API."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="make a key, and print its secret, which is shown only once")
        create.add_argument("name", help="the name under which its calls are kept")
        create.add_argument("--owner", default="", help="whom to ask about the key")
        create.add_argument(
            "--scopes",
            default=Scope.CHAT.value,
            help=f"some of {', '.join(Scope.values)}, separated by commas; default: %(default)s",
        )
        create.add_argument(
            "--models", default="", help="names, patterns or named routes, separated by commas; default: all models"
        )
        create.add_argument("--expires-in", type=parse_age, metavar="AGE", help="like 90d; default: never")
        create.add_argument(
            "--rate-limit", default="", metavar="RATE", help="requests, like 60/min; default: the setting RATE_LIMIT"
        )
        create.add_argument("--tokens-per-minute", type=int)
        create.add_argument("--max-concurrent", type=int, help="calls at a time")
        create.add_argument("--usd-per-day", type=dollars, help="budget of a day, from midnight UTC")
        create.add_argument("--usd-per-month", type=dollars, help="budget of a month, from midnight UTC")
        actions.add_parser("list", help="show all keys, without their secrets")
        revoke = actions.add_parser("revoke", help="end a key for good, within seconds")
        revoke.add_argument("name")
        rotate = actions.add_parser(
            "rotate", help="make a new secret for the same name, and print it, which happens only once"
        )
        rotate.add_argument("name")
        rotate.add_argument(
            "--overlap",
            type=parse_age,
            default=DEFAULT_OVERLAP,
            metavar="AGE",
            help="how long the old secret stays valid; default: 24h",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        actions: dict[str, Callable[[dict[str, Any]], None]] = {
            "create": self._create,
            "list": self._list,
            "revoke": self._revoke,
            "rotate": self._rotate,
        }
        actions[options["action"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        expires_in = options["expires_in"]
        key = ApiKey(
            name=options["name"],
            owner=options["owner"],
            scopes=[scope for scope in options["scopes"].split(",") if scope],
            allowed_models=options["models"],
            expires_at=None if expires_in is None else timezone.now() + expires_in,
            rate_limit=options["rate_limit"],
            tokens_per_minute=options["tokens_per_minute"],
            max_concurrent=options["max_concurrent"],
            usd_per_day=options["usd_per_day"],
            usd_per_month=options["usd_per_month"],
        )
        try:
            secret = create_key(key=key)
        except ValidationError as error:
            reasons = (f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
            raise CommandError("\n".join(reasons)) from error
        self._show(secret)

    def _list(self, options: dict[str, Any]) -> None:
        rows = [("NAME", "KEY", "STATE", "SCOPES", "OWNER", "LAST USED", "EXPIRES")]
        for key in ApiKey.objects.prefetch_related("secrets"):
            scopes = ",".join(key.scopes)
            last_used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
            expires = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never"
            rows.append((key.name, shown_parts(key.secrets.all()), key.state, scopes, key.owner, last_used, expires))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

    def _revoke(self, options: dict[str, Any]) -> None:
        revoke_key(key=self._key(options["name"]))
        self.stderr.write(f"Revoked {options['name']}. A process that has just used it may still accept it for 5 s.")

    def _rotate(self, options: dict[str, Any]) -> None:
        try:
            secret = rotate_key(key=self._key(options["name"]), overlap=options["overlap"])
        except KeyNotActive as error:
            raise CommandError(str(error)) from error
        self._show(secret)

    def _key(self, name: str) -> ApiKey:
        try:
            return ApiKey.objects.get(name=name)
        except ApiKey.DoesNotExist as error:
            raise CommandError(f"There is no key '{name}'. `manage.py api_key list` shows all.") from error

    def _show(self, secret: str) -> None:
        self.stdout.write(secret)
        self.stderr.write(SHOWN_ONCE)
