"""The file `.env`: what is written, and what it means to python-dotenv and Docker Compose."""

from __future__ import annotations

from pathlib import Path

import dotenv
import pytest

from orchestration_site.setting_values import SettingError
from orchestration_site.setting_values.env_file import load_env_file, read_env_file

# What stands behind "as documented" is in Docker Compose's "Syntax for .env files" or in python-dotenv's "File format".
MEANINGS = [
    ("A=b", {"A": "b"}),
    ("", {}),
    ("\n# comment\n   # another\n\n", {}),
    ("A=", {"A": ""}),
    ("A=b # comment", {"A": "b"}),  # as documented: a comment behind a value has a space before it
    ("A=b# no comment", {"A": "b# no comment"}),
    ("A=b#no comment", {"A": "b#no comment"}),
    ("A= # comment", {"A": ""}),
    ("A=\t# comment", {"A": ""}),
    ('A="b # no comment"', {"A": "b # no comment"}),
    ('A="b" # comment', {"A": "b"}),
    ("A='b # no comment' # comment", {"A": "b # no comment"}),
    ("A='b'# comment", {"A": "b"}),
    ("A='b\"c'", {"A": 'b"c'}),
    ("A=b'c", {"A": "b'c"}),
    ("A='Let\\'s go!'", {"A": "Let's go!"}),  # as documented
    ('A="{\\"hello\\": \\"json\\"}"', {"A": '{"hello": "json"}'}),  # as documented
    ('A="some\\tvalue"', {"A": "some\tvalue"}),  # as documented
    ("A='some\\tvalue'", {"A": "some\\tvalue"}),  # as documented
    ("A=some\\tvalue", {"A": "some\\tvalue"}),
    ('A=["\\\\d{16}"]', {"A": '["\\\\d{16}"]'}),
    ("export A=b", {"A": "b"}),
    ("export\tA=b", {"A": "b"}),
    ("  A = b  ", {"A": "b"}),
    ("A =b", {"A": "b"}),
    ("A= b c ", {"A": "b c"}),
    ("A=b=c", {"A": "b=c"}),
    ("\ufeffA=b\nB=c", {"A": "b", "B": "c"}),
    ("A=b\r\nB=c\r\n", {"A": "b", "B": "c"}),
    ("\ufeffA='b'\r\n\r\n# x\r\nB=c", {"A": "b", "B": "c"}),
    ("A=$B\nB=c", {"A": "$B", "B": "c"}),  # a $ is itself
    ("A=${B}\nB=c", {"A": "${B}", "B": "c"}),
    ("A='$B'", {"A": "$B"}),
    ('A="$B"', {"A": "$B"}),
    ("A=pa$$word", {"A": "pa$$word"}),
    ("A=b\nA=c", {"A": "c"}),
    ("A=ä€", {"A": "ä€"}),
    ("a_b1=c", {"a_b1": "c"}),
]
WRONG = [
    ("A", "line 1 has no = behind A"),
    ("export A", "line 1 has no = behind A"),
    ("A=b\n\nnonsense\n", "line 3 has no = behind nonsense"),
    ("A=b\n\n\nA: secret", "line 4 is not NAME=value"),
    ("A=b\r\n\r\nA: secret", "line 3 is not NAME=value"),
    ("A='secret", "line 1 is not NAME=value"),
    ('A="secret\n', "line 1 is not NAME=value"),
    ('A=b\nA="secret" tail', "line 2 is not NAME=value"),
    ("A=b\nB='secret\nC='d'", "line 2 is not NAME=value"),
    ('A="secret\nB=c"', "the value of A, in line 1, has a line break"),
    ("A='secret\n\nB='", "the value of A, in line 1, has a line break"),
    ('A="a\\nsecret"', "the value of A, in line 1, has a line break"),
    ("A=sec\0ret", "the value of A, in line 1, has a line break"),
    ("1A=secret", "line 1 has a name"),
    ("A-B=secret", "line 1 has a name"),
    ("Ä=secret", "line 1 has a name"),
    ("=secret", "line 1 is not NAME=value"),
    ("hello world=secret", "line 1 is not NAME=value"),
]


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / ".env"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(("content", "meaning"), MEANINGS)
def test_what_is_written_means_what_it_means_elsewhere(tmp_path: Path, content: str, meaning: dict[str, str]) -> None:
    path = written(tmp_path, content)
    assert read_env_file(path) == meaning
    assert dotenv.dotenv_values(path, interpolate=False, encoding="utf-8-sig") == meaning


@pytest.mark.parametrize(("content", "reason"), WRONG)
def test_a_line_that_cannot_be_read_is_an_error_with_its_number(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(SettingError) as raised:
        read_env_file(written(tmp_path, content))
    assert str(raised.value).startswith(".env can't be read: ")
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_utf_8_is_an_error_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="line 2 is not UTF-8"):
        read_env_file(written(tmp_path, b"A=b\nC=\xe4\n"))
    # What PowerShell's `>` writes.
    with pytest.raises(SettingError, match="line 1 is not UTF-8"):
        read_env_file(written(tmp_path, "A=b\n".encode("utf-16")))


def test_a_folder_of_that_name_is_an_error_and_no_file_at_all_is_none(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / "nothing") == {}
    with pytest.raises(SettingError, match=r"\.env can't be read"):
        (tmp_path / ".env").mkdir()
        read_env_file(tmp_path / ".env")


def test_the_environment_itself_comes_first_and_nothing_empty_is_added(tmp_path: Path) -> None:
    environment = {"A": "mine"}
    assert load_env_file(written(tmp_path, "A=file\nB=file\nC="), environment) == {"A": "file", "B": "file", "C": ""}
    assert environment == {"A": "mine", "B": "file"}
