import pytest
import yaml

from bench.suite.dry_settings import Machine, dry_suite


@pytest.fixture
def dry(tmp_path, small):
    """`dry(batch=..., gpus=..., **keys)`: the small suite with these keys, cut to one step."""

    def dry(*, batch=2, gpus=0, cpus=2, **keys):
        path = tmp_path / "suite.yaml"
        path.write_text(yaml.safe_dump(small | keys, sort_keys=False))
        return dry_suite(
            path, steps=1, batch=batch, place=tmp_path / "place", machine=Machine(cpus, gpus)
        )

    return dry


def test_shapes_stay_and_the_work_does_not(dry, small):
    small["base"]["tokenizer"] |= {"tail": "dropped"}
    small["base"]["training"] |= {
        "lengths": {"full_share": 0.9},
        "adversarial": {"start_step": 30, "width": 4},
        "accumulate": 4,
    }
    suite, cut, notes = dry()
    assert suite.name == "small@dry-1"
    assert notes == []
    config = suite.cells[0].config
    assert config.tokenizer.tail == "dropped"
    assert config.tokenizer.width == small["base"]["tokenizer"]["width"]
    training = config.training
    assert (training.steps, training.batch, training.accumulate) == (1, 2, 2)
    assert training.learning_rate == small["base"]["training"]["learning_rate"]
    assert training.adversarial.start_step == 0
    assert training.lengths.full_share == 0.5
    assert config.bank.policy_images == cut.images["train"] >= training.batch
    assert [cell.swept.get("policy.seed") for cell in suite.cells].count(1) == 0


def test_what_ranks_share_is_what_they_can_share(dry):
    ranks = {"tokenizer": {"cpus": 16, "ranks": 3}}
    suite, _, _ = dry(batch=4, cpus=8, resources=ranks)
    assert suite.resources["tokenizer"].cpus == 8
    assert suite.cells[0].config.training.batch == 6


def test_a_suite_for_gpus_goes_where_it_can(dry, small):
    small["base"]["training"]["compile"] = True
    gpus = {"device": "cuda", "resources": {"tokenizer": {"cpus": 16, "gpus": 8}}}
    suite, _, notes = dry(**gpus)
    assert notes == ["0 GPUs here: each stage is one process, on the CPU, not compiled"]
    assert {one.device for one in suite.resources.values()} == {"cpu"}
    assert not suite.cells[0].config.training.compile
    suite, _, notes = dry(gpus=1, **gpus)
    assert notes == ["1 GPUs here: each stage is one process, on one of them"]
    assert suite.resources["tokenizer"].device == "cuda"
    assert suite.resources["tokenizer"].ranks == 1
    suite, _, notes = dry(gpus=8, cpus=64, **gpus)
    assert notes == []
    assert (suite.resources["tokenizer"].ranks, suite.cells[0].config.training.batch) == (8, 8)
    assert suite.cells[0].config.training.compile


def test_weights_that_are_not_here_are_left_out_and_told(dry, small):
    small["base"]["bank"]["inception_weights"] = "/no/such.pth"
    suite, _, notes = dry()
    assert notes == ["/no/such.pth is not there: left out"]
    assert suite.cells[0].config.bank.inception_weights is None
