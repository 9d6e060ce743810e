import math

import pytest

from bench.compare.cost import Cost
from bench.compare.price import PARTS
from bench.compare.prices import prices
from reports.analysis.price import courses, price_lines, suite_prices


def by_place(found):
    return {(row.arm, row.budget): row for row in found}


def test_the_price_at_every_length_that_a_tokenizer_is_trained_for(priced, fixed_lengths):
    found = suite_prices([*priced(price=0.16), *fixed_lengths(lengths=(2, 4, 6))])
    rows = by_place(found.found)
    assert list(rows) == [("elastic", 2), ("elastic", 4), ("elastic", None)]
    for budget in (2, 4):
        assert rows["elastic", budget].price.share.mean == pytest.approx(0.16)
        assert rows["elastic", budget].price.shares[1] == pytest.approx(1.16 * math.exp(0.01) - 1)
    assert rows["elastic", 2].cost.words == "equal steps and decoder passes"
    assert found.missing == (
        "elastic: no tokenizer of the same images and seeds is trained for 8, 16 tokens alone",
    )


def test_the_parts_at_the_mean_of_the_policy(priced, fixed_lengths):
    (row,) = suite_prices(
        [*priced(price=0.16, gain=-0.1, possible=-0.14), *fixed_lengths(lengths=[6])]
    ).found
    shares = {name: getattr(row.parts, name).share.mean for name in PARTS}
    assert shares == pytest.approx(
        {"price": 0.16, "gain": -0.1, "net": 1.16 * 0.9 - 1, "possible": -0.14,
         "oracle": 1.16 * 0.86 - 1}
    )  # fmt: skip
    assert (row.tokens, row.lengths, row.allocation) == (5.75, (6,), "elastic policy")
    assert row.parts.net.verdict == "worse"
    assert row.parts.oracle.verdict == "no difference shown"


def test_a_length_that_is_not_the_rounded_mean_is_told(priced, fixed_lengths, vary):
    elastic = [vary(one, metrics={"mean_tokens": 9.2}) for one in priced()]
    (row,) = suite_prices([*elastic, *fixed_lengths(lengths=[10])]).found
    assert (row.lengths, row.remarks) == ((10,), ("not at equal tokens",))
    found = suite_prices([*elastic, *fixed_lengths(lengths=[6])])
    assert found.found == ()
    assert found.missing[-1].endswith("is trained for about 9.2 tokens alone")


def test_partners_are_of_equal_steps_first_and_unequal_ones_are_told(priced, fixed_lengths):
    long = fixed_lengths("long", lengths=[2], scale=0.9, swept={"training.steps": 4000})
    short = fixed_lengths("short", lengths=[2])
    elastic = priced(gain=None)
    (row,) = prices([*elastic, *long, *short]).found
    assert (row.against, row.price.share.mean) == ("short", pytest.approx(0.16))
    (row,) = prices([*elastic, *long]).found
    assert row.against == "long: steps 4000"
    assert row.cost.words == "not at equal steps, 0.5 x steps, 0.5 x decoder passes"
    # Of the same cost and recipe the strongest: a grid of learning rates is no other recipe.
    tuned = fixed_lengths("tuned", lengths=[2], scale=0.8, **{"training.learning_rate": 0.005})
    wide = fixed_lengths("wide", lengths=[2], scale=0.5, **{"tokenizer.width": 256})
    (row,) = prices([*elastic, *wide, *short, *tuned]).found
    assert (row.against, row.price.share.mean) == ("tuned", pytest.approx(1.16 / 0.8 - 1))


def test_a_partner_starts_its_learning_rate_anew_as_often(priced, fixed_lengths):
    def rounds(number):
        again = {"steps": 2000 // number, "batch": 32, "learning_rate": 0.001}
        return {"codesign": {"rounds": number, "training": again}}

    once = fixed_lengths("once", lengths=[2], scale=0.9, **rounds(1))
    twice = fixed_lengths("twice", lengths=[2], **rounds(2))
    for number, against in ((1, "once"), (2, "twice")):
        (row,) = prices([*priced(gain=None, **rounds(number)), *once, *twice]).found
        assert (row.against, row.cost.words) == (against, "equal steps and decoder passes")


def test_only_the_same_images_and_seeds_meet(priced, fixed_lengths):
    elsewhere = fixed_lengths(lengths=[2], **{"data.train": 99})
    found = prices([*priced(gain=None), *elsewhere])
    assert found.found == ()
    assert found.missing[0].endswith("is trained for 2, 4, 8, 16 tokens alone")
    (row,) = prices([*priced(gain=None), *fixed_lengths(lengths=[2], seeds=2)]).found
    assert (row.price.n, row.planned) == (2, 3)


def test_one_row_per_elastic_arm_in_the_order_of_the_suite(priced, fixed_lengths, failed):
    pairs = priced("pairs", price=0.08, **{"training.lengths": {"full_share": 0.5}})
    lost = [failed(one) for one in priced("lost", **{"training.lengths": {"full_share": 0.9}})]
    records = [*pairs, *lost, *priced(), *fixed_lengths(lengths=[2, 6])]
    found = suite_prices(records)
    at_mean = [row.arm for row in found.found if row.parts is not None]
    assert at_mean == ["pairs", "elastic"]
    assert "lost: no cell of it has a result" in found.missing


def test_the_price_in_a_sentence(priced, fixed_lengths):
    fixed = fixed_lengths(lengths=[2, 6])
    (line,) = price_lines([*priced(), *fixed])
    assert line.startswith(
        "Price of being elastic (elastic policy, 5.75 against 6 tokens, equal steps and decoder "
        "passes, n = 3 training seeds): +16.0 % [+13.2, +18.9] distortion; choosing by image "
        "-10.0 % [-10.0, -10.0]; together +4.4 % ["
    )
    assert "]: fixed better; the oracle's choice -0.2 % [" in line
    assert line.endswith("]: not distinguishable at this n.")
    cheap = priced("cheap", price=0.02, **{"training.lengths": {"full_share": 0.5}})
    first, best = price_lines([*priced(), *cheap, *fixed])
    assert first == line
    assert best.startswith("The least of 2: Price of being elastic (cheap policy, ")
    assert "]: adaptive better; the oracle's" in best
    lucky = priced("lucky", price=-0.2, seeds=[0.0], **{"training.lengths": {"full_share": 0.9}})
    assert price_lines([*priced(), *cheap, *lucky, *fixed]) == [first, best]
    (alone,) = price_lines([*priced(seeds=(0.0,)), *fixed])
    assert (
        "one training seed: no verdict): +16.0 % distortion; choosing by image -10.0 %; tog"
        in alone
    )
    assert "(one seed)" not in alone
    (budgets,) = price_lines([*priced(gain=None), *fixed_lengths(lengths=[2, 4])])
    assert "distortion +16.0 % [+13.2, +18.9] at 2 tokens, +16.0 %" in budgets
    assert budgets.endswith("; 2 worse (5 %, p corrected by Holm).")
    assert price_lines(fixed) == price_lines(priced()) == []


def test_the_course_over_training_and_the_gain_of_each_side(priced, fixed_lengths):
    records = []
    for steps, price, scale in ((2000, 0.16, 1.0), (8000, 0.04, 0.96), (4000, 0.10, 0.98)):
        swept = {"training.steps": steps}
        records += priced(price=price, scale=scale, swept=swept)
        records += fixed_lengths(lengths=[6], scale=scale, swept=swept)
    (course,) = courses(suite_prices(records).found)
    assert (course.label, course.budget) == ("elastic policy", None)
    assert [row.steps for row in course.rows] == [2000, 4000, 8000]
    assert [row.parts.price.share.mean for row in course.rows] == pytest.approx([0.16, 0.1, 0.04])
    changes = {(one.side, one.start): one for one in course.changes()}
    fixed = changes["fixed", 2000]
    assert fixed.per_doubling.share.mean == pytest.approx(-0.02)
    assert fixed.from_half_again.share.mean == pytest.approx(0.98 ** math.log2(1.5) - 1)
    assert fixed.words == "1 % or more"
    assert changes["elastic", 4000].per_doubling.share.mean == pytest.approx(
        0.96 * 1.04 / (0.98 * 1.1) - 1
    )
    slow = [*records, *priced(price=0.04, scale=0.955, swept={"training.steps": 16000})]
    slow += fixed_lengths(lengths=[6], scale=0.955, swept={"training.steps": 16000})
    (course,) = courses(suite_prices(slow).found)
    last = [one for one in course.changes() if (one.side, one.end) == ("fixed", 16000)]
    assert last[0].words == "less than 1 %"


def test_where_decoder_passes_are_unequal_a_partner_of_equal_passes_stands_beside(
    priced, fixed_lengths, monkeypatch
):
    def passes(record):
        pairs = record.arm.startswith("pairs")
        return Cost(record.config.training.steps, 1, record.config.training.steps * (1 + pairs))

    monkeypatch.setattr("bench.compare.prices.cost_of", passes)
    monkeypatch.setattr("bench.compare.elastic_arms.cost_of", passes)
    long = fixed_lengths("long", lengths=[2], scale=0.9, swept={"training.steps": 4000})
    records = [*priced("pairs", gain=None), *fixed_lengths(lengths=[2]), *long]
    first, second = prices(records).found
    assert (first.against, first.cost.words) == ("fixed", "equal steps, 2 x decoder passes")
    assert second.cost.words == "equal decoder passes, 0.5 x steps"
    assert second.price.share.mean == pytest.approx(1.16 / 0.9 - 1)
    (only,) = prices([*records[:3], *long]).found
    assert only.cost.equal_passes
