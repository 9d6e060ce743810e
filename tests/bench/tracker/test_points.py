from bench.tracker.points import Point, curve_points, machine_points, points
from bench.tracker.stages import StageRun

SPREAD = {"median": 9.0, "quartile_low": 8.0, "quartile_high": 10.0}


def test_names_that_mlflow_refuses_and_values_that_are_none(made_record):
    metrics = {"rfid@64": 1.5, "é": 2, "skill": None, "error": float("nan"), "collapsed": True}
    assert list(points(made_record(metrics=metrics), [])) == [
        Point("rfid_64", 1.5),
        Point("_", 2.0),
        Point("collapsed", 1.0),
    ]


def test_a_generation_gives_its_lengths(made_record):
    generation = {
        "lengths": {"data": {"1": 0.25, "4": 0.75}, "generated": {"4": 1.0}},
        "unended": 3,
        "distance": {
            "total_variation": {"value": 0.25, "low": 0.1, "high": 0.3, "chance": 0.2, "p": 0.5}
        },
        "by_length": [
            {"tokens": 4, "mean_tokens": 3.5, "n": 7, "n_reference": 9, "gfd_lite0": 0.5}
        ],
        "by_group": [],
        "by_class": [],
        "sampling": {"temperature": 1.0},
    }
    found = points(made_record(kind="generation", generation=generation), [])
    assert sorted(found, key=lambda p: (p.name, p.step)) == [
        Point("by_length/gfd_lite0", 0.5, 4),
        Point("by_length/mean_tokens", 3.5, 4),
        Point("by_length/n", 7.0, 4),
        Point("by_length/n_reference", 9.0, 4),
        Point("by_length/tokens", 4.0, 4),
        Point("length_distance/total_variation/chance", 0.2),
        Point("length_distance/total_variation/high", 0.3),
        Point("length_distance/total_variation/low", 0.1),
        Point("length_distance/total_variation/p", 0.5),
        Point("length_distance/total_variation/value", 0.25),
        Point("length_share/data", 0.25, 1),
        Point("length_share/data", 0.75, 4),
        Point("length_share/generated", 1.0, 4),
        Point("unended", 3.0),
    ]


def test_a_throughput_gives_speeds_by_batch_and_cost_by_position(made_record):
    row = {
        **{"batch": 8, "guidance": True, "guidance_scale": 1.5, "arm": "adaptive"},
        **{"mode": "refilled", "pixels": False, "images": 12, "images_per_second": SPREAD},
        **{"tokens_per_second": SPREAD, "ratio": 1.5, "ratio_quartiles": [1.0, 2.0]},
        **{"of_ideal": None, "occupancy": None, "first_image_seconds": None},
        "peak_memory_bytes": None,
    }
    place = {"batch": 8, "guidance": True, "guidance_scale": 4.0, "position": 5}
    throughput = {
        **{"weights": "random", "device": "cpu", "threads": 1, "load_average": [0.0, 0.0]},
        **{"precision": "float32", "parameters": 9, "vocabulary_size": 25, "repeats": 2},
        "rows": [row, {**row, "batch": 16, "guidance": False, "pixels": True}],
        "cost_by_position": [{**place, "seconds": 0.5}],
        "lengths": {"kind": "policy", "fixed": 4, "mean": 2.0, "shares": {}, "token_ratio": 2.0},
    }
    found = list(points(made_record(kind="throughput", throughput=throughput), []))
    first, second = (
        "throughput/adaptive/refilled/guidance_1.5/",
        "throughput/adaptive/refilled/pixels/",
    )
    expected = {
        Point(f"{first}images_per_second", 9.0, 8),
        Point(f"{first}images_per_second/quartile_low", 8.0, 8),
        Point(f"{first}ratio", 1.5, 8),
        Point(f"{second}ratio", 1.5, 16),
        Point("throughput/seconds_by_position/batch_8/guidance_4", 0.5, 5),
    }
    assert expected <= set(found)
    assert len(found) == len(set(found)) == 2 * 8 + 1
    assert {point.step for point in found if point.name.startswith(second)} == {16}


def test_the_speeds_in_a_reconstruction_are_metrics_already(made_record):
    rates = {"encode_images_per_second": SPREAD, "decode_images_per_second": {"4": SPREAD}}
    throughput = {"device": "cpu", "threads": 1, "batch": 8, "repeats": 3, **rates}
    assert list(points(made_record(throughput=throughput), [])) == []


def test_a_stage_of_one_cell_gives_what_it_took_and_its_samples(made_record):
    """Those that cells share have runs of their own, which say so once."""
    samples = {"seconds": [5.2, 9.9], "cpu_percent": [90.0, 110.0]}
    bank = StageRun("bank", "b", "bank.train", 10.0, 7, began=0.0, samples=samples)
    last = StageRun("evaluation", "e", "evaluation", 5.0, None, inputs={"bank": ("bank", "b")})
    assert list(points(made_record(), [bank, last])) == [Point("system/evaluation/seconds", 5.0)]
    assert list(machine_points(bank, "system/")) == [
        Point("system/seconds", 10.0),
        Point("system/peak_memory_bytes", 7.0),
        Point("system/cpu_percent", 90.0, 5),
        Point("system/cpu_percent", 110.0, 10),
    ]


def test_a_row_of_a_curve_is_at_its_step():
    row = {"step": 20, "loss@1": 0.5, "skill": None, "error": float("inf")}
    assert list(curve_points(row)) == [Point("training/loss_1", 0.5, 20)]
