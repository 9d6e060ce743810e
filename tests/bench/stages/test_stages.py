import subprocess
import sys

import pytest

from adatok_core.registry import load_attribute
from bench.errors import UserError
from bench.stages import OURS, STAGES, Stage, extra_stage
from bench.stages.work import Job, same_settings


@pytest.fixture
def bring(monkeypatch):
    """`bring(name, stage)`: as a package that brings a stage of this name."""
    monkeypatch.setattr(STAGES, "_entries", dict(STAGES._entries))
    return lambda name, stage: STAGES.add(name, stage)


def stage(name="own", **changes):
    return Stage(**{"name": name, "version": 1, "run": dict, "inputs": ("images",), **changes})


def test_our_stages_carry_their_modules_names_and_can_be_imported():
    assert {"manifest", "data", "tokenizer", "bank", "policy", "evaluation"} < set(OURS)
    for name in OURS:
        one = STAGES[name]
        module, _, function = one.run.partition(":")
        places = (f"bench.stages.{name}", f"bench.stages.diagnostics.{name}")
        assert (one.name, function) == (name, "run")
        assert module in places
        assert callable(load_attribute(one.run))
        assert not one.inputs


def test_declarations_need_neither_torch_nor_pandas():
    code = (
        "import sys; from bench.stages import STAGES; [STAGES[name] for name in STAGES];"
        "print([name for name in ('torch', 'pandas', 'numpy', 'ray') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_functions_are_imported_when_they_are_called():
    ours = stage(run="json:dumps", work="bench.stages.work:same_settings")
    assert ours.compute({"a": 1}) == '{"a": 1}'
    job = Job("own", {"seed": 0, "size": 3}, {}, {})
    assert ours.measure(job) == same_settings(job) == ([{"size": 3}, []], 1.0, "same settings")
    with pytest.raises(ModuleNotFoundError):
        stage(run="nowhere:run").compute({})


def test_a_cell_may_ask_for_stages_of_other_packages_only(bring):
    with pytest.raises(UserError, match=r"^here: unknown stage 'bank'; none is installed$"):
        extra_stage("bank", where="here")
    bring("own", stage())
    assert extra_stage("own", where="here") is STAGES["own"]
    for name in ("bank", "onw"):
        with pytest.raises(UserError, match=rf"^here: unknown stage '{name}'; .*own"):
            extra_stage(name, where="here")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("nowhere:STAGE", "cannot be imported: No module named 'nowhere'"),
        ("bench.stages:OURS", "is a tuple, and must be a Stage"),
        (stage(inputs=()), "has no inputs; mend its declaration"),
        (stage("other"), "calls itself 'other'; mend its declaration"),
    ],
)
def test_a_stage_that_cannot_be_used_is_refused_in_one_line(bring, wrong, message):
    bring("own", wrong)
    with pytest.raises(UserError) as error:
        extra_stage("own", where="here")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
