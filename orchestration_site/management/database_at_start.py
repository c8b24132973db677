"""What `serve` wants of the database before it starts: that it is there, and that its tables are those of this version.

Once the service runs, it goes on without the database, and spools its calls. But a service that starts without one may
have the wrong address, and would spool for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

# How often a database that is not there yet is asked for.
ASK_AGAIN_SECONDS = 1.0
# What PostgreSQL says while it starts or stops. Any other refusal of a server that answers is a reason not to wait: the
# password is wrong, or the database does not exist.
STARTING = ("starting up", "shutting down", "not yet accepting", "recovery mode", "too many clients", "remaining conn")
# What the library that connects says when encryption or a password can't be agreed on. That does not change either.
REFUSED = ("does not support SSL", "certificate", "no password supplied", "FATAL")


def wait_for_database(say: Callable[[str], None]) -> None:
    """Return once the database answers. Says one line when it has to wait. Raises CommandError if waiting is no use."""
    if settings.ON_SQLITE:
        return
    # A connection of its own, because the pool waits for its timeout and does not tell the reason.
    parameters = connection.get_connection_params()
    parameters.pop("pool", None)
    place = _place(str(parameters.get("host", "")), str(parameters.get("port", "")))
    has_said = False
    while True:
        try:
            psycopg.connect(**{**parameters, "cursor_factory": None}).close()
            return
        except psycopg.OperationalError as error:
            reason = " ".join(str(error).split())
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            raise CommandError(f"DATABASE_URL can't be used: {reason}") from error
        if any(words in reason for words in REFUSED) and not any(words in reason for words in STARTING):
            raise CommandError(f"The database at {place} refuses the service: {reason}")
        if not has_said:
            say(f"Waiting for the database at {place}, which is not there yet: {reason}")
            has_said = True
        time.sleep(ASK_AGAIN_SECONDS)


def refuse_missing_migrations() -> None:
    """Raise CommandError if the database lacks a migration of this version."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        raise CommandError(f"The database can't be read: {' '.join(str(error).split())}") from error
    finally:
        connection.close()
        if not settings.ON_SQLITE:
            connection.close_pool()  # type: ignore[attr-defined]
    if missing:
        named = f"{missing[0][0].app_label}.{missing[0][0].name}"
        raise CommandError(
            f"The database lacks {len(missing)} migrations of this version, {named} first: run manage.py migrate."
        )


def _place(hosts: str, ports: str) -> str:
    """Host and port of each server, as an address shows them."""
    listed = hosts.split(",") if hosts else ["localhost"]
    port_of_all = ports.split(",") if ports else ["5432"]
    port_of_each = port_of_all if len(port_of_all) == len(listed) else port_of_all[:1] * len(listed)
    return ", ".join(f"{host or 'localhost'}:{port or '5432'}" for host, port in zip(listed, port_of_each, strict=True))
