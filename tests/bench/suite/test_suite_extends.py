import pytest
import yaml

from bench.errors import UserError
from bench.suite.loading import load_suite


@pytest.fixture
def write(tmp_path):
    """`write(name, content)`: a file below the test's folder, and its path."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


@pytest.fixture
def refusal(tmp_path, write):
    """`refusal(content)`: what is said of it, behind the file's name, paths made short."""

    def refusal(content):
        path = write("suite.yaml", content)
        with pytest.raises(UserError) as error:
            load_suite(path)
        message = str(error.value).replace(f"{tmp_path}/", "")
        assert "\n" not in message
        assert message.startswith("suite.yaml: ")
        return message.removeprefix("suite.yaml: ")

    return refusal


def test_without_changes_it_is_the_other_file(write, small):
    other = load_suite(write("other.yaml", {**small, "reports": ["summary"]}))
    suite = load_suite(write("suite.yaml", {"extends": "other.yaml"}))
    assert suite.cells == other.cells
    assert (suite.name, suite.question) == (other.name, other.question)
    assert suite.reports == other.reports
    assert suite.path.name == "suite.yaml"


def test_a_key_replaces_the_other_files_whole(write, small):
    write("other.yaml", {**small, "resources": {"data": {"cpus": 2}}, "reference_arm": "elastic"})
    changes = {
        "suite": "mine",
        "reference_arm": "b",
        "arms": [{"name": "b"}],
        "resources": {"bank": {"cpus": 3}},
    }
    suite = load_suite(write("suite.yaml", {"extends": "other.yaml", **changes}))
    assert (suite.name, suite.reference_arm) == ("mine", "b")
    assert [cell.arm for cell in suite.cells] == ["b"]
    assert (suite.resources["data"].cpus, suite.resources["bank"].cpus) == (1, 3)
    assert suite.question == "Does letting the image choose beat not letting it?"


def test_a_base_of_its_own_replaces_the_other_files(write, small):
    write("other.yaml", {**small, "arms": [{"name": "a"}]})
    base = {"data": small["base"]["data"]}
    suite = load_suite(
        write("suite.yaml", {"extends": "other.yaml", "base": base, "set": {"training.seed": 3}})
    )
    (cell,) = suite.cells
    assert cell.config.training.seed == 3
    assert cell.config.tokenizer.width == 128  # the default


def test_set_changes_the_base_and_arms_override_it(write, small):
    arms = [{"name": "a"}, {"name": "b", "set": {"training.seed": 5}}]
    write("other.yaml", {**small, "arms": arms})
    changes = {
        "training.seed": 7,
        "tokenizer.lora": {"rank": 1},
        "policy.candidates": [1, 4],
    }
    suite = load_suite(write("suite.yaml", {"extends": "other.yaml", "set": changes}))
    assert [cell.config.training.seed for cell in suite.cells] == [7, 5]
    first = suite.cells[0].config
    assert first.training.steps == small["base"]["training"]["steps"]
    assert (first.tokenizer.lora.rank, first.tokenizer.lora.alpha) == (1, 16.0)
    assert first.policy.candidates == (1, 4)


def test_the_path_is_relative_to_the_file_that_gives_it(write, small, monkeypatch, tmp_path):
    write("other.yaml", small)
    path = write("below/suite.yaml", {"extends": "../other.yaml", "suite": "below"})
    write("below/other.yaml", {**small, "suite": "wrong", "question": "?"})
    monkeypatch.chdir(tmp_path / "below")
    assert load_suite(path).question.startswith("Does letting")
    assert load_suite("suite.yaml").question.startswith("Does letting")


def test_each_file_of_a_chain_is_laid_on_the_one_before(write, small):
    write("first.yaml", {**small, "arms": [{"name": "a"}]})
    middle = {"training.seed": 1, "training.steps": 50}
    write("below/second.yaml", {"extends": "../first.yaml", "suite": "second", "set": middle})
    last = {"extends": "below/second.yaml", "set": {"training.seed": 2}}
    suite = load_suite(write("suite.yaml", last))
    (cell,) = suite.cells
    assert (cell.config.training.seed, cell.config.training.steps) == (2, 50)
    assert suite.name == "second"


def test_a_file_may_be_extended_twice(write, small):
    """Two links to one file are no loop, and leave its settings as they are."""
    write("first.yaml", {**small, "arms": [{"name": "a"}]})
    for seed in (1, 2):
        content = {"extends": "first.yaml", "set": {"training.seed": seed}}
        (cell,) = load_suite(write(f"suite{seed}.yaml", content)).cells
        assert cell.config.training.seed == seed


def test_files_that_lead_nowhere_or_in_a_circle_are_refused(refusal, write, small):
    assert refusal({"extends": "nowhere.yaml"}) == (
        "extends: nowhere.yaml: No such file or directory; give the path of a suite's YAML file"
    )
    loop = "leads back to this file; remove one of the links"
    assert refusal({"extends": "suite.yaml"}).endswith(f"suite.yaml: extends: {loop}")
    write("other.yaml", {"extends": "suite.yaml"})
    message = refusal({"extends": "other.yaml"})
    assert message.startswith("extends: other.yaml: extends: suite.yaml: ")
    assert message.endswith(loop)
    write("other.yaml", "just text")
    assert refusal({"extends": "other.yaml"}).startswith("extends: other.yaml: expected keys")
    for value in (None, 3, ["other.yaml"]):
        assert refusal({"extends": value}) == "extends: give the path of a suite's YAML file"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"tokenizer.widht": 8},
            "arm 'elastic': tokenizer.widht: unknown key; did you mean 'width'?",
        ),
        (
            {"tokeniser.width": 8},
            "arm 'elastic': tokeniser: unknown key; did you mean 'tokenizer'?",
        ),
        ({"training.steps": "many"}, "arm 'elastic': training.steps: input should be a valid"),
        ({"training.steps.x": 8}, "set: training.steps.x: 'steps' is a value and holds no keys"),
        ({3: 8}, "arm 'elastic': 3: unknown key"),
        ([{"tokenizer.width": 8}], "set: give settings by dotted path, as an arm does"),
        ("tokenizer.width", "set: give settings by dotted path, as an arm does"),
        (None, "set: give settings by dotted path, as an arm does"),
    ],
)
def test_a_set_that_cannot_be_applied_is_refused(refusal, write, small, changes, expected):
    write("other.yaml", small)
    assert refusal({"extends": "other.yaml", "set": changes}).startswith(expected)


def test_set_is_of_no_use_without_a_file_to_extend(refusal, small):
    assert refusal({**small, "set": {"training.seed": 1}}).startswith("set: unknown key")


def test_other_keys_of_an_extending_file_are_checked(refusal, write, small):
    write("other.yaml", small)
    assert refusal({"extends": "other.yaml", "quesion": "?"}) == (
        "quesion: unknown key; did you mean 'question'?"
    )
    assert refusal({"extends": "other.yaml", "base": None, "set": {"data.seed": 1}}).startswith(
        "base: input should be an object"
    )


def test_a_reference_arm_is_one_of_the_suite(refusal, write, load, small):
    assert load({**small, "reference_arm": "policy"}).reference_arm == "policy"
    assert load(small).reference_arm is None
    assert refusal({**small, "reference_arm": "polcy"}) == (
        "reference_arm: 'polcy' is no arm of this suite; did you mean 'policy'?"
    )
    write("other.yaml", {**small, "reference_arm": "elastic"})
    assert refusal({"extends": "other.yaml", "arms": [{"name": "x"}]}) == (
        "reference_arm: 'elastic' is no arm of this suite; valid: x"
    )
