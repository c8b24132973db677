"""Each kind of setting: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration_site.setting_values import Environment, SettingError
from orchestration_site.setting_values.numbers import show_duration

Read = Callable[[Environment], Any]


def boolean(env: Environment) -> Any:
    return env.bool("V", False)


def integer(env: Environment) -> Any:
    return env.int("V", 7, at_least=0, at_most=20)


def number(env: Environment) -> Any:
    return env.float("V", 7.0, at_least=0, at_most=2)


def duration(env: Environment) -> Any:
    return env.duration("V", 7.0, at_least=0.001, at_most=604_800)


def days(env: Environment) -> Any:
    return env.days("V", 7, at_most=100)


def choice(env: Environment) -> Any:
    return env.choice("V", "info", ["INFO", "debug"])


def items(env: Environment) -> Any:
    return env.list("V", [])


def environment(written: str) -> Environment:
    env = Environment()
    env.ENVIRON = {"V": written}
    return env


@pytest.mark.parametrize(
    ("read", "written", "value"),
    [
        *((boolean, word, True) for word in ("true", "True", "TRUE", "yes", "on", "1", " on ")),
        *((boolean, word, False) for word in ("false", "False", "no", "NO", "off", "0")),
        (integer, "0", 0),
        (integer, " 20 ", 20),
        (integer, "+3", 3),
        (integer, "1_0", 10),
        (number, "0.7", 0.7),
        (number, ".5", 0.5),
        (number, "1e0", 1.0),
        (duration, "30", 30.0),
        (duration, "0.5", 0.5),
        (duration, "30s", 30.0),
        (duration, "5m", 300.0),
        (duration, "5 M", 300.0),
        (duration, "500ms", 0.5),
        (duration, "1h", 3_600.0),
        (duration, "1.5h", 5_400.0),
        (duration, "7d", 604_800.0),
        (days, "30", 30),
        (days, "30d", 30),
        (days, "0", 0),
        (choice, "info", "INFO"),
        (choice, "Debug", "debug"),
        (items, " a , b,, c ,", ["a", "b", "c"]),
        (items, ",", []),
        *((read, "", read(environment(" \n"))) for read in (boolean, integer, number, duration, days, choice, items)),
    ],
)
def test_what_can_be_read(read: Read, written: str, value: Any) -> None:
    found = read(environment(written))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("read", "written", "known"),
    [
        *(
            (boolean, word, "one of true, yes, on, 1 for yes, or false, no, off, 0 for no")
            for word in ("enabled", "t", "y", "n", "2", "-1", "ja", "true # must", "none", "null", "ok", "truefalse")
        ),
        *(
            (integer, word, "a whole number from 0 to 20")
            for word in ("-1", "21", "abc", "1.0", "1e1", "0x1", "٣", "1 2", "1__0", "nan", "9" * 30, "9" * 5_000)
        ),
        *((number, word, "a number from 0 to 2") for word in ("-0.1", "2.01", "nan", "inf", "0,7", "1e999", "²")),
        *(
            (duration, word, "a time from 1ms to 7d: a number of seconds, or one with a unit (ms, s, m, h, d)")
            for word in ("0", "-1", "5 parsecs", "5mm", "8d", "1h30m", "inf", "nan", "s", "5min", "1e300d", "1:30")
        ),
        *((days, word, "a whole number of days from 0 to 100") for word in ("-1", "101", "1h", "0.5", "d")),
        (choice, "inf", "one of INFO, debug"),
        (items, "a b", "Write commas"),
        (items, "a;b", "Write commas"),
        (items, "a\nb", "Write commas"),
    ],
)
def test_what_cannot_be_read_names_the_variable_and_what_is_known(read: Read, written: str, known: str) -> None:
    with pytest.raises(SettingError) as raised:
        read(environment(written))
    said = str(raised.value)
    assert said.startswith("V ")
    assert known in said
    assert "\n" not in said
    assert len(said) < 400


@pytest.mark.parametrize("read", [boolean, integer, number, duration, days, choice, items])
@pytest.mark.parametrize(
    "secret", ["sk-proj-Ab", "gsk_Ab12", "0123456789abcdef", "a very; long secret text of words", "p@ss;"]
)
def test_a_value_that_may_be_secret_is_not_shown(read: Read, secret: str) -> None:
    try:
        read(environment(secret))
    except SettingError as error:
        assert secret not in str(error)
    else:
        assert read is items


def test_a_dollar_is_a_dollar() -> None:
    env = environment("$PATH")
    env.ENVIRON["PATH"] = "elsewhere"
    assert env.str("V", "default") == "$PATH"
    assert env.asked == {"V"}


def test_a_relative_path_begins_in_the_projects_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    for written, meant in (
        ("spool", "/srv/spool"),
        ("./a/../b", "/srv/a/../b"),
        ("/var/x", "/var/x"),
        ("~/x", "/home/me/x"),
    ):
        assert environment(written).folder("V", "default", base=Path("/srv")) == Path(meant)
    assert environment("").folder("V", "default", base=Path("/srv")) == Path("/srv/default")


def test_a_duration_is_shown_with_its_largest_unit() -> None:
    assert [show_duration(s) for s in (0, 0.001, 0.5, 1, 90, 300, 3_600, 86_400)] == [
        *("0", "1ms", "500ms", "1s", "90s", "5m", "1h", "1d")
    ]
