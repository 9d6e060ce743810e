import math

import made_records as new
import numpy as np
import pytest

from bench.artifacts.gallery import Gallery, GalleryRow
from bench.records.report_plugins import Figure, declared
from bench.store.integrity import describe


def handed(function):
    """A fixture of the function's name that hands it out."""
    return pytest.fixture(name=function.__name__)(lambda: function)


def complete(artifact):
    """Writes the `stage.json` of a folder `<stage>/<key>` that is filled by hand."""
    describe(artifact, {"stage": artifact.parent.name, "key": artifact.name})


tokenizer, policy, vary = map(handed, (new.tokenizer, new.policy, new.vary))
allocator, generated = handed(new.allocator), handed(new.generated)
timed, failed = handed(new.timed), handed(new.failed)
complete_fixture = handed(complete)


@pytest.fixture
def records(small_run):
    """The small run's records: two policies, their tokenizer, one fixed length, two failures."""
    return list(small_run.result.records)


@pytest.fixture
def done(records):
    return [record for record in records if record.done]


@pytest.fixture
def vary_curve():
    """`vary_curve(record, change)`: with `change(row)`, a mapping, added to each row's values."""

    def vary_curve(record, change):
        return new.vary(record, curve=[row.model_dump() | change(row) for row in record.curve])

    return vary_curve


@pytest.fixture
def one_length():
    """`one_length(psnr=20.0, length=6, seed=0)`: a made-up record of a tokenizer of one length."""

    def one_length(*, psnr=20.0, length=6, seed=0, **changes):
        record = new.tokenizer("fixed", psnr=(psnr,), budgets=(length,), seed=seed)
        return new.vary(record, settings={"tokenizer.budgets": [length]}, **changes)

    return one_length


JITTER = (0.0, 0.01, -0.01)


@pytest.fixture
def priced():
    """`priced(arm, price=0.16, ...)`: an elastic arm that costs so much more at each budget.

    With its policy at 5.75 tokens, unless `gain` is None. Seeds differ by `JITTER`, as logarithms.
    """

    def priced(arm="elastic", *, price=0.16, gain=-0.10, possible=-0.14, seeds=JITTER, scale=1.0,
               swept=(), **settings):  # fmt: skip
        curves, policies = [], []
        for seed, jitter in enumerate(seeds):
            dearer = scale * (1 + price) * math.exp(jitter)
            psnr = [-10 * math.log10(dearer * new.fixed_distortion(k)) for k in new.BUDGETS]
            curves.append(new.tokenizer(psnr=psnr, seed=seed))
            mixed = dearer * new.fixed_distortion(6)
            controls = {
                name: {"mse": (1 + change) * mixed, "mean_tokens": 5.75}
                for name, change in (("agnostic", 0.0), ("oracle", possible))
            }
            if gain is not None:
                one = new.policy(training_seed=seed, tokens=5.75, mse=(1 + gain) * mixed)
                policies.append(new.vary(one, controls=controls))
        made = new.at_steps(curves, arm, dict(swept), **settings)
        return made + new.at_steps(policies, f"{arm} policy", dict(swept), **settings)

    return priced


@pytest.fixture
def fixed_lengths(one_length):
    """`fixed_lengths(arm, lengths=(2, 6))`: tokenizers of one length, three seeds each."""

    def fixed_lengths(arm="fixed", *, lengths=(*new.BUDGETS, 6), seeds=3, scale=1.0, swept=(),
                      **settings):  # fmt: skip
        made = []
        for length in lengths:
            psnr = -10 * math.log10(scale * new.fixed_distortion(length))
            members = [one_length(psnr=psnr, length=length, seed=seed) for seed in range(seeds)]
            at = {**dict(swept), "tokenizer.budgets": [length]}
            made += new.at_steps(members, arm, at, **settings)
        return made

    return fixed_lengths


@pytest.fixture
def write_records(tmp_path):
    """`write_records(records)`: the store in which they lie, by their suites."""

    def write(records):
        for place, record in enumerate(records):
            folder = tmp_path / "store" / "records" / record.suite
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{place:03}.json").write_text(record.model_dump_json(exclude_unset=True))
        return tmp_path / "store"

    return write


@pytest.fixture
def two_arms(tokenizer):
    """Three seeds of a reference arm and of one that is better by 1 dB at every length."""

    def psnr(seed, gain):
        return tuple(18 + gain + 0.01 * seed * (1 + gain) + step for step in range(4))

    return [
        tokenizer(arm, psnr=psnr(seed, gain), seed=seed, reference_arm="none")
        for arm, gain in (("none", 0), ("heads", 1))
        for seed in range(3)
    ]


def few_figures(*names):
    """`declared`, of these figures alone and of all tables."""

    def few(kind):
        return {n: one for n, one in declared(kind).items() if kind is not Figure or n in names}

    return few


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The page of a made-up suite: tokenizer, two policies with images, a failed cell, and arms."""
    from reports.analysis.suites import read_parts
    from reports.page import building

    folder = tmp_path_factory.mktemp("page")
    records = [
        *(new.tokenizer(psnr=(18 + s / 9, 19, 20, 21), seed=s, reference_arm="elastic")
          for s in range(3)),
        *(new.tokenizer("heads", psnr=(19 + s / 9, 20, 21, 22), seed=s, reference_arm="elastic",
                     swept={"tokenizer.lora.rank": 4}) for s in range(3)),
        *(new.policy(seed=s, training_seed=s, skill=0.5 + s / 50, mse=0.012 + s / 5000,
                  reference_arm="elastic", tokens=6 + s / 3) for s in range(3)),
    ]  # fmt: skip
    records.append(new.failed(new.tokenizer("lost", reference_arm="elastic")))
    rng = np.random.default_rng(0)
    rows = tuple(
        GalleryRow(id=f"i{i}", group=group, tokens=(None, tokens), psnr=(None, 20.0))
        for i, (group, tokens) in enumerate([("fewest tokens", 2), ("most tokens", 16)] * 2)
    )
    pixels = rng.integers(0, 256, (4, 2, 32, 32, 3), dtype=np.uint8)
    artifact = folder / "store" / "evaluation" / "g"
    Gallery(pixels, ("original", "chosen budget"), rows).write(artifact)
    complete(artifact)
    records[6] = new.vary(records[6], gallery="evaluation/g")
    there = folder / "store" / "records" / "made"
    there.mkdir(parents=True)
    for place, record in enumerate(records):
        record = new.vary(record, cell_key=f"{place:016x}")
        (there / f"{record.cell_key}.json").write_text(record.model_dump_json(exclude_unset=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "declared", few_figures("pareto", "prefix_curves", "settle"))
        parts = read_parts(["made"], folder / "store")
        built = building.build_report(parts, folder / "report", store=folder / "store")
    assert built.broken == ()
    return built.page


@pytest.fixture
def unrendered(monkeypatch):
    """Figures are built and laid out, but not rendered: that is what takes the time."""

    def savefig(figure, path, **kwargs):
        if path.suffix == ".png":
            figure.draw_without_rendering()
        path.write_bytes(b"figure")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", savefig)


@pytest.fixture
def only_figures(monkeypatch):
    """`only_figures("pareto")`: a page tries these alone, beside all tables."""
    from reports.page import building

    def only(*names):
        monkeypatch.setattr(building, "declared", few_figures(*names))

    return only
