from reports.page.points import lines, points, shown_metrics


def test_every_cell_and_every_fixed_budget_is_a_point(tokenizer, policy, allocator):
    found = points(
        [policy(), tokenizer(untrained=(8,)), allocator(), policy(seed=1, collapsed=True)]
    )
    kinds = [point.kind for point in found]
    assert kinds[:3] == ["fixed budget"] * 3
    assert sorted(kinds[3:]) == ["collapsed", "length never trained", "other allocator", "policy"]
    assert {point.tokenizer for point in found} == {"elastic"}
    assert found[0].name.endswith(", 2 tokens kept")


def test_intervals_are_those_of_the_group_at_that_budget(tokenizer):
    records = [tokenizer(seed=s, psnr=(18 + s, 19, 20, 21)) for s in range(3)]
    first = points(records)[0]
    assert first.intervals["psnr"] == (
        "mean 19.00 [16.52, 21.48], 95 % Student t over 3 training seeds"
    )
    assert first.values["psnr"] in (18, 19, 20)


def test_one_seed_and_missing_values_are_said_or_left_out(tokenizer, vary, failed):
    first, *others = (row.model_dump() for row in tokenizer().curve)
    first |= {"psnr": None, "mse": float("nan")}
    record = vary(tokenizer(), curve=[first, *others])
    found = points([record, failed(tokenizer("lost"))])
    assert found[0].values.keys() == {"perceptual", "fd_lite0"}
    assert found[1].intervals["psnr"] == "one training seed, no interval"


def test_lines_join_mixtures_for_distortion_and_curves_for_the_rest(tokenizer):
    record = tokenizer(untrained=(16,))
    found = {(line.kind, line.metric): line.points for line in lines([record], ["mse", "psnr"])}
    assert found["agnostic mixture", "mse"] == tuple(
        (row.budget, row.value("mse")) for row in record.curve
    )
    assert ("oracle", "mse") in found
    assert found["fixed budget", "psnr"] == ((2, 18), (4, 19), (8, 20))


def test_distortion_comes_first_and_fd_gives_way_to_rfid(tokenizer, vary_curve):
    record = tokenizer()
    assert shown_metrics(points([record])) == ["mse", "psnr", "perceptual", "fd_lite0"]
    record = vary_curve(record, lambda row: {"rfid": 3.0})
    assert shown_metrics(points([record])) == ["mse", "psnr", "perceptual", "rfid"]
