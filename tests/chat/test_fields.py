"""The strict serializer: what callers send is checked as it is written."""

from __future__ import annotations

import pytest
from rest_framework.exceptions import ValidationError

from chat.fields import StrictSerializer, TextField, WholeNumberField, checked


class Sample(StrictSerializer):
    count = WholeNumberField(required=False, default=3)
    name = TextField(required=False)


def test_a_default_stands_in_for_a_field_that_is_not_there() -> None:
    assert checked(Sample, {"name": "a"}) == {"name": "a", "count": 3}


def test_a_default_does_not_replace_what_the_caller_sent() -> None:
    assert checked(Sample, {"count": 5}) == {"count": 5}


def test_a_field_without_a_default_is_left_out_when_it_is_not_sent() -> None:
    assert "name" not in checked(Sample, {})


def test_an_unknown_field_is_refused_by_its_name() -> None:
    with pytest.raises(ValidationError, match=r"Unknown field\. Known are: count, name\.") as caught:
        checked(Sample, {"nmae": "a"})
    assert list(caught.value.detail) == ["nmae"]


@pytest.mark.parametrize("value", ["3", True, 2.5, None])
def test_a_whole_number_is_a_json_number(value: object) -> None:
    with pytest.raises(ValidationError):
        checked(Sample, {"count": value})


def test_text_is_not_trimmed_and_may_hold_a_nul() -> None:
    assert checked(Sample, {"name": " a\x00 "})["name"] == " a\x00 "


def test_what_one_request_sent_does_not_reach_the_next() -> None:
    checked(Sample, {"count": 5, "name": "a"})
    assert checked(Sample, {}) == {"count": 3}
