import json

from bench.search.halving import is_among_best

SEARCH = {
    "algorithm": "optuna",
    "samples": 4,
    "startup": 2,
    "pending": 2,
    "metric": {"mse": "minimize"},
    "space": {"training.learning_rate": {"loguniform": [1e-4, 3e-2]}},
}
STOP = {"scheduler": "asha", "metric": "mse", "grace": 40, "reduction": 2}


def decisions(store):
    """What was decided at rungs, in order."""
    return [
        one
        for path in (store / "halving").glob("*.json")
        for one in json.loads(path.read_text())["judged"]
    ]


def of_arm(records, arm):
    return {name: record for name, record in records.items() if record["arm"] == arm}


def test_searches_through_ray_go_on_where_they_were_killed(
    finish, long, write_suite, spawn, wait_for, kill_tree, records_of, mlflow_runs, tmp_path
):
    whole = {"name": "whole", "search": SEARCH}
    early = {"name": "early", "search": SEARCH, "stop_early": STOP, "set": {"training.seed": 1}}
    long["base"]["policy"] = None
    undisturbed = finish({**long, "arms": [whole]}).store.root
    suite, store = write_suite({**long, "arms": [whole, early]}), tmp_path / "store"

    driver = spawn("run", suite, "--store", store, name="killed")
    wait_for(lambda: "stopped early after" in driver.log.read_text(), driver)
    kill_tree(driver.pid)
    driver.wait()
    before = decisions(store)

    again = spawn("run", suite, "--store", store, name="again")
    assert again.wait(timeout=300) == 0, again.log.read_text()

    # Trials are drawn, and end, as in another order of stages on one executor.
    records = records_of(store)
    assert of_arm(records, "whole") == records_of(undisturbed)
    # When trainings reach a rung decides there; each decision is made once, and stands.
    judged = decisions(store)
    assert judged[: len(before)] == before
    assert not all(one["goes_on"] for one in before)
    for place, one in enumerate(judged):
        others = [other for other in judged[:place] if other["step"] == one["step"]]
        assert one["key"] not in [other["key"] for other in others]
        values = [other["value"] for other in others]
        assert one["goes_on"] == is_among_best(
            one["value"], values, reduction=2, higher_is_better=False
        )
    stopped = [r for r in of_arm(records, "early").values() if r["status"] == "stopped"]
    assert len(stopped) == sum(not one["goes_on"] for one in judged)
    assert len(of_arm(records, "early")) == 4
    assert {run.info.status for run in mlflow_runs(store)} == {"FINISHED", "KILLED"}
