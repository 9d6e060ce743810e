import pytest

from adatok_core.config import LengthSampling

OUT_OF_RANGE = [
    ({"full_share": -0.1}, "full_share"),
    ({"full_share": 1.1}, "full_share"),
    ({"distribution": "policy", "share": -0.1}, "share"),
    ({"distribution": "policy", "share": 1.1}, "share"),
    ({"share": 0.5}, "share"),
    ({"distribution": "all", "rest": "all"}, "rest"),
]

ON_THE_EDGE = [
    {"full_share": 0},
    {"full_share": 1},
    {"distribution": "policy", "share": 0},
    {"distribution": "policy", "share": 1, "rest": "all"},
]


@pytest.mark.parametrize(("values", "key"), OUT_OF_RANGE)
def test_a_value_out_of_range_or_without_use_is_refused_by_its_key(refused, values, key):
    refused(LengthSampling, values, key)


@pytest.mark.parametrize("values", ON_THE_EDGE)
def test_the_ends_of_a_range_are_accepted(accepted, values):
    accepted(LengthSampling, values)


def test_defaults_are_valid_frozen_and_strict(frozen_and_strict):
    frozen_and_strict(LengthSampling())
