from bench.tracker.points import Point, points
from bench.tracker.stages import StageRun


def test_names_that_mlflow_refuses_and_values_that_are_none():
    metrics = {"rfid@64": 1.5, "é": 2, "skill": None, "error": float("nan"), "collapsed": True}
    assert list(points({"metrics": metrics}, [])) == [
        Point("rfid_64", 1.5),
        Point("_", 2.0),
        Point("collapsed", 1.0),
    ]


def test_a_generation_gives_its_lengths():
    generation = {
        "lengths": {"data": {"1": 0.25, "4": 0.75}, "generated": {"4": 1.0}},
        "unended": 3,
        "distance": {"total_variation": {"value": 0.25, "low": None}},
        "by_length": [{"tokens": 4, "n": 7, "gfd_lite0": 0.5}],
        "sampling": {"temperature": 1.0},
    }
    found = points({"kind": "generation", "generation": generation}, [])
    assert sorted(found, key=lambda p: (p.name, p.step)) == [
        Point("by_length/gfd_lite0", 0.5, 4),
        Point("by_length/n", 7.0, 4),
        Point("by_length/tokens", 4.0, 4),
        Point("length_distance/total_variation/value", 0.25),
        Point("length_share/data", 0.25, 1),
        Point("length_share/data", 0.75, 4),
        Point("length_share/generated", 1.0, 4),
        Point("unended", 3.0),
    ]


def test_a_throughput_gives_speeds_by_batch_and_cost_by_position():
    row = {"arm": "adaptive", "mode": "refilled", "batch": 8, "guidance": True, "pixels": False}
    row["guidance_scale"] = 1.5
    speeds = {"images_per_second": {"median": 9.0, "quartile_low": 8.0}, "ratio": None}
    throughput = {
        "device": "cpu",
        "rows": [
            row | speeds,
            {**row, "batch": 16, "guidance": False, "pixels": True, "ratio": 1.5},
        ],
        "cost_by_position": [
            {"position": 5, "seconds": 0.25},
            {"position": 5, "seconds": 0.5, "batch": 8, "guidance": True, "guidance_scale": 4.0},
        ],
    }
    assert list(points({"throughput": throughput}, [])) == [
        Point("throughput/adaptive/refilled/guidance_1.5/images_per_second", 9.0, 8),
        Point("throughput/adaptive/refilled/guidance_1.5/images_per_second/quartile_low", 8.0, 8),
        Point("throughput/adaptive/refilled/pixels/ratio", 1.5, 16),
        Point("throughput/seconds_by_position", 0.25, 5),
        Point("throughput/seconds_by_position/batch_8/guidance_4", 0.5, 5),
    ]


def test_the_speeds_in_a_reconstruction_are_metrics_already():
    throughput = {"device": "cpu", "encode_images_per_second": {"median": 1.0}}
    assert list(points({"throughput": throughput}, [])) == []


def test_a_stage_gives_what_it_took_and_its_samples():
    samples = {"seconds": [5.2, 9.9], "cpu_percent": [90.0, 110.0]}
    stage = StageRun(label="bank.train", seconds=10.0, peak_memory_bytes=7, samples=samples)
    assert list(points({}, [stage])) == [
        Point("system/bank.train/seconds", 10.0),
        Point("system/bank.train/peak_memory_bytes", 7.0),
        Point("system/bank.train/cpu_percent", 90.0, 5),
        Point("system/bank.train/cpu_percent", 110.0, 10),
    ]
