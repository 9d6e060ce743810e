import re
from pathlib import Path

import pytest

from bench.graph.suite_graph import build_graph
from bench.run.planning.cost import Costs
from bench.run.planning.flops import counted_flops
from bench.run.planning.gpus import Machine
from bench.run.planning.memory import USABLE, training_bytes
from bench.store.store import Store
from bench.suite.elsewhere import Elsewhere
from bench.suite.loading import load_suite

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
APART = ("quickstart", "published")  # Of one size; of tokenizers and images that are not here.
IMAGENET = sorted((EXPERIMENTS / "imagenet").glob("*.yaml"))
GPU = [  # Others train nothing.
    path
    for path in sorted((EXPERIMENTS / "gpu").glob("*.yaml"))
    if path.stem not in ("published", "throughput")
] + IMAGENET
QUESTIONS = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml") if path.stem not in APART)


def test_every_suite_in_the_repository_is_valid(adatok):
    suites = [
        path
        for path in sorted(EXPERIMENTS.rglob("*.yaml"))
        if path.stem != "published" and path not in IMAGENET  # Of files that are not here.
    ]
    assert len(suites) == 1 + 21 + 21  # quickstart, the questions, and each again for a GPU
    answer = adatok("validate", *suites)
    assert answer.code == 0, answer.err
    assert answer.out.count(": valid, ") == len(suites)


def test_every_suite_has_a_question_and_a_report_of_its_own():
    suites = [load_suite(path) for path in sorted(EXPERIMENTS.rglob("*.yaml"))]
    assert all(suite.question.endswith("?") for suite in suites)
    assert all(suite.reports for suite in suites)
    # Names are folders of the store: two suites of one name would mix their records.
    assert len({suite.name for suite in suites}) == len(suites)
    small = [suite for suite in suites if suite.path.parent == EXPERIMENTS]
    assert len({suite.question for suite in small}) == len(small) == 23


def labels(suite):
    """Labels of the cells; numbers of steps in them depend on the size."""
    return [re.sub(r"[\d,]+ steps", "more steps", cell.label) for cell in suite.cells]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_asked_on_a_gpu_with_the_same_arms(name):
    small = load_suite(EXPERIMENTS / f"{name}.yaml")
    large = load_suite(EXPERIMENTS / "gpu" / f"{name}.yaml")
    assert labels(large) == labels(small)
    assert (large.question, large.reports) == (small.question, small.reports)
    assert large.reference_arm == small.reference_arm
    assert {resources.device for resources in small.resources.values()} == {"cpu"}
    assert large.resources["tokenizer"].device == large.resources["bank"].device == "cuda"
    for one, other in zip(small.cells, large.cells, strict=True):
        if one.config.kind == "throughput":
            assert other.config.throughput.images > one.config.throughput.images
            assert other.config.throughput.generator.width >= one.config.throughput.generator.width
            continue
        assert other.config.data.resolution > one.config.data.resolution
        assert other.config.tokenizer.width > one.config.tokenizer.width
        assert other.config.policy == one.config.policy
        if one.config.generation is not None:
            assert other.config.generation.images > one.config.generation.images
            assert other.config.generation.budget == one.config.generation.budget


@pytest.mark.parametrize("path", GPU, ids=lambda path: path.stem)
def test_every_training_on_a_gpu_is_in_bf16(path):
    for cell in load_suite(path, Elsewhere()).cells:
        config = cell.config
        later = (config.finetuning, config.codesign, config.generation)
        trainings = [config.training, *(one.training for one in later if one is not None)]
        assert {training.precision for training in trainings} == {"bf16"}, cell.label


def test_published_tokenizers_are_measured_alike_on_a_gpu():
    small = load_suite(EXPERIMENTS / "published.yaml")
    large = load_suite(EXPERIMENTS / "gpu" / "published.yaml")
    assert labels(large) == labels(small)
    for one, other in zip(small.cells, large.cells, strict=True):
        assert other.config.tokenizer == one.config.tokenizer
        assert other.config.data == one.config.data


FIGURES = re.compile(
    r'^# The (generator|training) of "(.+)": ([\d.]+) GPU-days of an (\w+) at (\d+) % MFU, '
    r"([\d.]+) GB of its memory\.$",
    re.M,
)


@pytest.mark.parametrize("path", IMAGENET, ids=lambda path: path.stem)
def test_a_recipe_says_what_plans_say_now(path, tmp_path):
    ((kind, arm, days, gpu, mfu, memory),) = FIGURES.findall(path.read_text())
    suite = load_suite(path, Elsewhere())
    graph = build_graph(suite, name_source=lambda *where: "not here")
    place = [cell.label for cell in suite.cells if cell.arm == arm]
    end = graph.evaluations[[cell.label for cell in suite.cells].index(place[0])]
    node = end.inputs["generator" if kind == "generator" else "tokenizer"]
    job = Costs(Store(tmp_path)).planned(node)
    seconds = counted_flops(job) / Machine(1, gpu, int(mfu) / 100).flops
    assert f"{seconds / 86_400:.2f}" == days
    assert f"{training_bytes(job) / 1e9:.1f}" == memory
    assert training_bytes(job) < USABLE * Machine(1, gpu, 1).memory
    assert f"plan experiments/imagenet/{path.name} --as 8x{gpu}" in path.read_text()
