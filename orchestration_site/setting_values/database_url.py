"""Reads DATABASE_URL into Django's DATABASES. What can't be obeyed is refused, because a part that is thrown away,
such as `sslmode=require`, would be missed too late.

An address of PostgreSQL is read by libpq, the library that connects. Errors never quote an address, which may contain a
password.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from orchestration_site.setting_values.numbers import read_float
from orchestration_site.setting_values.reader import resolve

POSTGRES_SCHEMES = ("postgres", "postgresql", "pgsql", "psql")
FORM = "write postgres://user:password@host:5432/name, or sqlite:///file."

# For connections to PostgreSQL, unless DATABASE_URL says otherwise.
POSTGRES_OPTIONS: dict[str, Any] = {
    "connect_timeout": 3,
    # If the server's host or the network fails, nobody closes the connection. These options let us notice that after
    # seconds. Otherwise it would take a quarter of an hour.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
}
# What libpq takes, and the service can't use: they would change what comes back, or find a server that can't be
# written to.
REFUSED = ("replication", "client_encoding", "fallback_application_name")
# The values of parameters that libpq checks only when it connects.
VALUES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "primary"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "sslnegotiation": ("postgres", "direct"),
    "sslcertmode": ("disable", "allow", "require"),
}
NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")


def read_database_url(written: str, *, base: Path) -> dict[str, Any]:
    """The database as DATABASES has it. The file of SQLite hangs on `base`. Raises ValueError."""
    url = written.strip()
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError(FORM)
    if scheme.lower() == "sqlite":
        return _sqlite(rest, base)
    if scheme.lower() in POSTGRES_SCHEMES:
        return _postgres(rest, base)
    raise ValueError(f"its scheme is none of {', '.join(('sqlite', *POSTGRES_SCHEMES))}: {FORM}")


def _sqlite(rest: str, base: Path) -> dict[str, Any]:
    host, slash, path = rest.partition("/")
    path, _, query = path.partition("?")
    if host or not slash:
        raise ValueError("three slashes stand before the file of SQLite, and four before one whose path is absolute.")
    if not path or path.startswith(":memory:"):
        raise ValueError("a database in memory can't keep the history: name a file, like sqlite:///db.sqlite3.")
    if "#" in path:
        raise ValueError("a # in the name of a file must be written %23.")
    options: dict[str, Any] = {"timeout": 5.0}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name != "timeout":
            raise ValueError("for SQLite only timeout may stand behind the ?, in seconds.")
        try:
            options["timeout"] = read_float(value, at_least=0, at_most=600)
        except ValueError as error:
            raise ValueError(f"timeout must be {error}.") from None
    file = resolve(unquote(path), base=base)
    if not file.parent.is_dir():
        raise ValueError("the folder of the file does not exist.")
    if file.is_dir():
        raise ValueError("it names a folder, and not a file.")
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file), "OPTIONS": options}


def _postgres(rest: str, base: Path) -> dict[str, Any]:
    parameters = _parameters(rest)
    # None of these values is empty, because what is written without a value means libpq's default.
    options: dict[str, Any] = {name: value for name, value in parameters.items() if value != ""}
    for name, values in VALUES.items():
        if name in options and options[name] not in values:
            raise ValueError(f"{name} must be one of {', '.join(values)}.")
    for name in NUMBERS:
        if name in options and not re.fullmatch(r"\d{1,9}", str(options[name]), re.ASCII):
            raise ValueError(f"{name} must be a whole number.")
    for name in FILES:
        if name in options and not (name == "sslrootcert" and options[name] == "system"):
            options[name] = str(resolve(options[name], base=base))
            if not Path(options[name]).is_file():
                raise ValueError(f"{name} names a file that does not exist.")
    _check_hosts(options)
    user, password = options.pop("user", ""), options.pop("password", "")
    name = options.pop("dbname", "")
    if not name and "service" not in options:
        raise ValueError("the name of the database is missing behind the host.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": user,
        "PASSWORD": password,
        "HOST": options.pop("host", ""),
        "PORT": options.pop("port", ""),
        "OPTIONS": {**POSTGRES_OPTIONS, **options},
    }


def _parameters(rest: str) -> dict[str, str]:
    """The parameters of libpq that the address says."""
    known = [option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()]
    allowed = [name for name in (*known, "ssl") if name not in REFUSED]
    before, question, query = rest.partition("?")
    if question and "@" in query and "@" not in before and ":" in before:
        raise ValueError("a ? in a password must be written %3F, and an @ in a parameter %40.")
    names = [pair.partition("=")[0] for pair in query.split("&") if pair]
    if unknown := [name for name in names if name not in allowed]:
        named = f"'{unknown[0]}' " if re.fullmatch(r"[a-z_]{1,40}", unknown[0]) else ""
        raise ValueError(f"the parameter {named}behind the ? can't be used here; libpq's can, like sslmode=require.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"the parameter {twice[0]} stands there twice.")
    credentials, at, location = before.rpartition("@")
    if "#" in location or " " in location:
        raise ValueError("a # or a space must be written %23 or %20.")
    # Signs that have a meaning in an address are allowed in a password. A % begins the number of a sign.
    user, colon, password = credentials.partition(":")
    escaped = f"{quote(user, safe='%')}{colon}{quote(password, safe='%')}{at}"
    try:
        return dict(conninfo_to_dict(f"postgresql://{escaped}{location}{question}{query}"))  # type: ignore[arg-type]
    except (psycopg.Error, UnicodeError):
        raise ValueError(f"{FORM} A % in a password must be written %25.") from None


def _check_hosts(options: dict[str, Any]) -> None:
    hosts, ports = str(options.get("host", "")).split(","), str(options.get("port", "")).split(",")
    if not all(port == "" or (re.fullmatch(r"\d{1,5}", port, re.ASCII) and 0 < int(port) < 65_536) for port in ports):
        raise ValueError("the port must be a number from 1 to 65535.")
    if len(ports) > 1 and len(ports) != len(hosts):
        raise ValueError("there must be one port for all hosts, or one for each.")
    if any(not re.fullmatch(r"(/|@)[^\x00-\x1f]*|[^\s/@]*", host) for host in hosts):
        raise ValueError("a host has a character that no host has. Signs in a password are written like %40 for @.")
