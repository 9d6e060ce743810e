import json

import numpy as np
import pytest
from plain_records import MSE, curve, record

from bench.statistics.intervals import holm, paired_difference


@pytest.fixture
def fixed_length(write):
    """A suite `fixed` of tokenizers of 2 and of 4 tokens, and an elastic one that costs more."""
    lengths, elastic = [], []
    for seed, mse in MSE.items():
        dearer = {2: 1.1 * mse, 4: mse * (1.2 + 0.01 * seed)}
        elastic.append(record("elastic", seed=seed, curve=curve(dearer)))
        for length in (2, 4):
            one = record(
                "fixed",
                seed=seed,
                swept={"tokenizer.budgets": [length]},
                metrics={"mse": mse},
                curve=curve({length: mse}),
            )
            one["settings"]["tokenizer"]["budgets"] = [length]
            lengths.append(one)
    write("elastic", elastic)
    write("fixed", lengths)
    return elastic


def test_an_elastic_side_has_a_price_over_tokenizers_of_one_length(fixed_length, compare):
    answer = compare("fixed", "elastic", "--json")
    price = json.loads(answer.out)["price"]
    assert (price["elastic"], price["metric"], answer.code) == ("b", "mse", 1)
    two, four = price["rows"]
    assert (two["budget"], two["lengths"], two["price"]["n"]) == (2, [2], 3)
    assert two["price"]["ratio_minus_1"] == pytest.approx(0.1)
    logs = np.log([1.2, 1.21, 1.22])
    found = paired_difference(dict(enumerate(logs)), dict.fromkeys(range(3), 0.0))
    assert four["price"]["low"] == pytest.approx(np.exp(found.low) - 1)
    assert four["price"]["p_holm"] == pytest.approx(holm([0.0, found.p])[1])
    assert [two["elastic_is"], four["elastic_is"]] == ["worse", "worse"]
    assert four["cost"]["words"] == "equal steps and decoder passes"
    text = compare("fixed", "elastic").out
    assert "Price of being elastic: distortion (MSE) of B over that of A, minus 1" in text
    assert "+10.0 % [+10.0, +10.0]" in text
    assert "Student t over seeds, of logarithms" in text


def test_the_price_is_of_the_elastic_side_whichever_it_is(fixed_length, write, compare, refused):
    answer = compare("elastic", "fixed", "--json")  # B is better.
    assert (json.loads(answer.out)["price"]["elastic"], answer.code) == ("a", 0)
    cheap = [{**one, "curve": curve({2: 0.5 * m, 4: 0.5 * m + s / 1e6})}
             for one, (s, m) in zip(fixed_length, MSE.items(), strict=True)]  # fmt: skip
    write("cheap", cheap)
    assert compare("cheap", "fixed").code == 1
    # The price is one of distortion; other metrics need a match of their own.
    assert "has its match in" in refused("fixed", "elastic", "--metric", "psnr")
    assert "price" not in json.loads(compare("elastic", "cheap", "--json").out)
