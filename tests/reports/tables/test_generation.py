import pytest

from reports.tables.generation import table
from reports.tables.table import NOT_MEASURED


@pytest.fixture
def drawn(generated):
    """`drawn(arm, seed=0, **metrics)`: a made-up record of a generator's samples."""

    def drawn(arm="end token", *, seed=0, distance=0.2, **metrics):
        away = {"value": distance, "low": distance - 0.1, "high": distance + 0.1,
                "chance": 0.1, "p": 0.01}  # fmt: skip
        metrics = {"unended_share": 0.1, "gfd_lite0": 30.0, **metrics}
        return generated(arm, seed=seed, generation={"distance": {"total_variation": away}},
                         **metrics)  # fmt: skip

    return drawn


def test_lengths_and_distances_of_one_seed_have_their_interval_over_images(drawn):
    found = table([drawn(), drawn("fixed", distance=0.3)])
    first, second = found.rows
    assert first.values["total_variation"].text == "0.200 [0.100, 0.300]"
    assert second.values["total_variation"].number == 0.3
    assert first.values["wasserstein_1"].text == NOT_MEASURED
    assert first.values["gfd_lite0"].number == 30.0
    assert "unpaired originals" in found.notes[0]


def test_several_seeds_have_intervals_over_seeds(drawn):
    (row,) = table(
        [drawn(seed=s, distance=0.2 + s / 10, gfd_lite0=30.0 + s) for s in range(3)]
    ).rows
    assert row.values["seeds"].text == "3"
    assert row.values["gfd_lite0"].interval.n == 3
    assert row.values["total_variation"].interval.mean == pytest.approx(0.3)


def test_other_kinds_and_failures_have_no_row(drawn, tokenizer, failed):
    assert len(table([drawn(), tokenizer(), failed(tokenizer("lost"))]).rows) == 1
    assert table([tokenizer()]).notes == ("Not made: no cell that generates has a result.",)
