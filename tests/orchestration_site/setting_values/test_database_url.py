"""DATABASE_URL: everything in it counts, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration_site.setting_values.database_url import POSTGRES_OPTIONS, read_database_url


def read(url: str, base: Path = Path("/")) -> dict[str, Any]:
    return read_database_url(url, base=base)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h:5433/db", {"HOST": "h", "PORT": "5433", "USER": "u", "PASSWORD": "p", "NAME": "db"}),
        ("postgresql://h/db", {"HOST": "h", "PORT": "", "USER": "", "PASSWORD": "", "NAME": "db"}),
        ("psql://h/db", {"HOST": "h"}),
        ("postgres://u@[::1]:5432/db", {"HOST": "::1", "PORT": "5432"}),
        # Several hosts.
        ("postgres://u:p@a:1,b:2/db?target_session_attrs=read-write", {"HOST": "a,b", "PORT": "1,2"}),
        ("postgres://u:p@a,b:5433/db", {"HOST": "a,b", "PORT": ",5433"}),
        # A socket.
        ("postgres:///db?host=/run/postgresql", {"HOST": "/run/postgresql", "NAME": "db"}),
        ("postgres://u@%2Frun%2Fpostgresql/db", {"HOST": "/run/postgresql", "USER": "u"}),
        ("postgres:///db", {"HOST": "", "NAME": "db"}),
        # Passwords with signs, which may be escaped or not.
        ("postgres://u:a'b\"c@h/db", {"PASSWORD": "a'b\"c"}),
        ("postgres://u:a%27b%22c%25%3F@h/db", {"PASSWORD": "a'b\"c%?"}),
        ("postgres://u:p@ss#1/x:y z+&$@h/db", {"PASSWORD": "p@ss#1/x:y z+&$", "HOST": "h", "NAME": "db"}),
        ("postgres://u%40tenant:p@h/db", {"USER": "u@tenant"}),
        ("postgres://u@tenant:p@h/db", {"USER": "u@tenant", "PASSWORD": "p", "HOST": "h"}),
        ("postgres://u:ä@h/db", {"PASSWORD": "ä"}),
        # What is behind the question mark may say all of it.
        (
            "postgres://?host=h&user=u&password=p%26&dbname=db",
            {"HOST": "h", "USER": "u", "PASSWORD": "p&", "NAME": "db"},
        ),
        ("postgres:///?service=mine", {"NAME": ""}),
    ],
)
def test_an_address_of_postgresql_is_read_as_libpq_reads_it(url: str, expected: dict[str, str]) -> None:
    found = read(url)
    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert {name: found[name] for name in expected} == expected


def test_what_stands_behind_the_question_mark_counts_and_overrides_ours() -> None:
    found = read(
        "postgres://u:p@h/db?sslmode=require&application_name=llm&connect_timeout=9&options=-c%20search_path%3Dx"
    )
    assert found["OPTIONS"] == {
        **POSTGRES_OPTIONS,
        "sslmode": "require",
        "application_name": "llm",
        "connect_timeout": "9",
        "options": "-c search_path=x",
    }
    assert read("postgres://h/db?ssl=true")["OPTIONS"]["sslmode"] == "require"
    assert read("postgres://h/db")["OPTIONS"] == POSTGRES_OPTIONS


def test_a_certificate_hangs_on_the_projects_folder_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    url = "postgres://h/db?sslmode=verify-full&sslrootcert="
    assert read(url + "ca.pem", tmp_path)["OPTIONS"]["sslrootcert"] == str(tmp_path / "ca.pem")
    assert read(url + "system")["OPTIONS"]["sslrootcert"] == "system"
    with pytest.raises(ValueError, match="sslrootcert names a file that does not exist"):
        read(url + "other.pem", tmp_path)


def test_the_file_of_sqlite_hangs_on_the_projects_folder(tmp_path: Path) -> None:
    for url, file in (
        ("sqlite:///db.sqlite3", tmp_path / "db.sqlite3"),
        (f"sqlite:///{tmp_path}/a+b%20c.sqlite3", tmp_path / "a+b c.sqlite3"),
    ):
        found = read(url, tmp_path)
        assert (found["ENGINE"], found["NAME"]) == ("django.db.backends.sqlite3", str(file))
        assert found["OPTIONS"] == {"timeout": 5.0}
    assert read("sqlite:///db.sqlite3?timeout=20", tmp_path)["OPTIONS"] == {"timeout": 20.0}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "write postgres://"),
        ("mysql://u:secret@h/db", "its scheme is none of"),
        ("://u:secret@h/db", "its scheme is none of"),
        ("sqlite://db.sqlite3", "three slashes"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///no/such/folder/db.sqlite3", "the folder of the file does not exist"),
        ("sqlite:////tmp", "names a folder"),
        ("sqlite:///db.sqlite3?mode=secret", "only timeout"),
        ("sqlite:///db.sqlite3?timeout=soon", "timeout must be"),
        ("sqlite:///db.sqlite3#secret", "%23"),
        ("postgres://u:secret@h", "the name of the database is missing"),
        ("postgres://u:secret@h/", "the name of the database is missing"),
        ("postgres://u:secret@h:port/db", "the port must be a number"),
        ("postgres://u:secret@h:0/db", "the port must be a number"),
        ("postgres://u:secret@h:70000/db", "the port must be a number"),
        ("postgres://u:secret@a,b,c/db?port=1,2", "one port for all"),
        ("postgres://u:secret?x@h/db", "%3F"),
        ("postgres://u:100%secret@h/db", "%25"),
        ("postgres://u:secret@h/db?sslmode=yes", "sslmode must be one of disable"),
        ("postgres://u:secret@h/db?target_session_attrs=standby", "target_session_attrs must be one of"),
        ("postgres://u:secret@h/db?connect_timeout=5s", "connect_timeout must be a whole number"),
        ("postgres://u:secret@h/db?sslmod=require", "the parameter 'sslmod'"),
        ("postgres://u:secret@h/db?conn_max_age=60", "the parameter 'conn_max_age'"),
        ("postgres://u:secret@h/db?pool=10", "the parameter 'pool'"),
        ("postgres://u:secret@h/db?replication=true", "the parameter 'replication'"),
        ("postgres://u:secret@h/db?client_encoding=latin1", "the parameter 'client_encoding'"),
        ("postgres://u:secret@h/db?sslmode=require&sslmode=disable", "sslmode stands there twice"),
        ("postgres://u:secret@h/db#part", "%23"),
        ("postgres://u:secret@h/d b", "%20"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_without_the_password(url: str, reason: str) -> None:
    with pytest.raises(ValueError) as raised:
        read(url)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
