from reports.tables.comparison import table
from reports.tables.table import NOT_MEASURED


def find(found, **wanted):
    (row,) = (
        row for row in found.rows if all(row.values[k].text == text for k, text in wanted.items())
    )
    return row


def test_the_best_and_what_is_tied_with_it_are_marked(tokenizer):
    """At 8 tokens: the second is behind by noise, the third by 2 dB in every seed."""
    records = [
        tokenizer(
            arm, psnr=tuple(start + noise * (seed - 1) + step for step in range(4)), seed=seed
        )
        for arm, start, noise in (("best", 20, 0.01), ("tied", 19.99, -0.02), ("behind", 18, 0.01))
        for seed in range(3)
    ]
    found = table(records)
    marks = {
        arm: find(found, tokenizer=arm, allocation="fixed budget 8").values["psnr"].tied
        for arm in ("best", "tied", "behind")
    }
    assert marks == {"best": True, "tied": True, "behind": False}
    lower = {arm: find(found, tokenizer=arm, allocation="fixed budget 8").values["mse"].tied
             for arm in ("best", "behind")}  # fmt: skip
    assert lower == {"best": True, "behind": False}


def test_values_are_means_with_intervals_and_the_rows_cells(two_arms):
    row = find(table(two_arms), tokenizer="heads", allocation="fixed budget 4")
    psnr = [record.curve[1].value("psnr") for record in two_arms[3:]]
    value = row.values["psnr"]
    assert abs(value.number - sum(psnr) / 3) < 1e-12
    assert value.interval.n == 3
    assert row.values["seeds"].text == "3 training seeds"
    assert row.cells == tuple(record.cell_key for record in two_arms[3:])


def test_rows_stand_in_sections_of_equal_tokens(tokenizer, policy):
    found = table([tokenizer(), policy(tokens=7.9), policy("far", tokens=5.3)])
    sections = [name for name, _ in found.sections]
    assert sections == [
        *("about 2 tokens", "about 4 tokens", "about 8 tokens", "about 16 tokens"),
        "other numbers of tokens",
    ]
    near = dict(found.sections)["about 8 tokens"]
    assert [row.values["allocation"].text for row in near] == ["fixed budget 8", "policy"]


def test_single_seeds_have_no_interval_and_no_mark(tokenizer):
    found = table([tokenizer("a"), tokenizer("b", psnr=(1.0, 2.0, 3.0, 4.0))])
    assert not any(value.tied for row in found.rows for value in row.values.values())
    assert find(found, tokenizer="a", allocation="fixed budget 2").values["psnr"].text == "18"


def test_the_oracle_takes_no_part(tokenizer, allocator):
    oracle = {"kind": "oracle", "candidates": None, "mean_budget": 6.0}
    records = [
        allocator(arm, allocator=kind, training_seed=seed, mse=mse + 1e-5 * seed)
        for arm, kind, mse in (("sees", oracle, 0.001), ("blind", None, 0.002))
        for seed in range(3)
    ] + [
        allocator("worse", training_seed=seed, mse=0.004 + 1e-5 * seed,
                  allocator={"kind": "edge_density", "candidates": None, "mean_budget": 6.0})
        for seed in range(3)
    ]  # fmt: skip
    found = table(records)
    marked = {row.values["allocation"].text: row.values["mse"].tied for row in found.rows}
    assert marked == {"oracle": False, "PNG size": True, "edge density": False}


def test_what_is_not_measured_is_said_and_skill_of_fixed_lengths_is_not_asked(
    tokenizer, policy, vary
):
    found = table([tokenizer(), vary(policy(), without=["psnr"])])
    row = find(found, allocation="policy")
    assert row.values["psnr"].text == NOT_MEASURED
    assert row.values["allocation_skill"].text.startswith("0.5")
    assert "allocation_skill" not in find(found, allocation="fixed budget 2").values


def test_failed_cells_have_rows_that_say_so(tokenizer, failed):
    found = table([tokenizer(), failed(tokenizer("lost"))])
    row = find(found, tokenizer="lost")
    assert (row.section, row.status, row.values["mean_tokens"].text) == (
        *("no result", "failed"),
        "failed",
    )
    assert "loss is not finite" in row.values["remark"].text


def test_nothing_to_compare_is_said(tokenizer, failed):
    found = table([failed(tokenizer())])
    assert (found.rows, found.notes) == ((), ("Not made: no cell that reconstructs has a result.",))


def test_generation_is_not_compared_with_reconstruction(tokenizer, generated):
    rows = table([tokenizer(), generated("gen")]).rows
    assert {row.values["tokenizer"].text for row in rows} == {"elastic"}
