import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from adatok_core.config.encoder import ENCODERS
from adatok_core.config.objective import OBJECTIVES
from adatok_core.config.quantizer import QUANTIZERS
from adatok_core.config.weighting import WEIGHTINGS
from bench.commands.support import choices as listing
from bench.config.allocators import ALLOCATORS
from bench.data.datasets import DATASETS
from bench.errors import UserError
from bench.metrics.declared import METRICS
from bench.metrics.extractors import EXTRACTORS
from bench.records.report_plugins import REPORTS
from bench.stages import STAGES

EXPERIMENTS = Path(__file__).parents[4] / "experiments"


def found(kind, suites=EXPERIMENTS):
    return {entry.name: entry for entry in listing.entries([kind], suites=suites)}


@pytest.mark.parametrize(
    ("kind", "registered"),
    [
        ("tokenizers", set(ENCODERS)),
        ("factories", {"titok", "one_d_piece", "llamagen"}),
        ("quantizers", set(QUANTIZERS)),
        ("allocators", set(ALLOCATORS) | {"policy"}),
        ("objectives", set(OBJECTIVES)),
        ("weightings", set(WEIGHTINGS)),
        ("metrics", set(METRICS)),
        ("extractors", set(EXTRACTORS)),
        ("stages", set(STAGES)),
        ("datasets", set(DATASETS)),
        ("reports", set(REPORTS)),
    ],
)
def test_all_that_is_registered_is_listed_and_nothing_else(kind, registered):
    entries = found(kind)
    assert set(entries) == registered
    for entry in entries.values():
        assert entry.kind == kind
        assert entry.about
        assert "\n" not in entry.about


def test_every_kind_is_tested_and_offered():
    from bench.commands.suites.listing import KINDS

    assert tuple(listing.KINDS) == KINDS


def test_places_are_where_things_are_declared():
    def declaration(entry):
        path, number = entry.defined.rsplit(":", 1)
        return "\n".join(Path(path).read_text().splitlines()[int(number) - 1 :][:4])

    for kind in (
        *("tokenizers", "factories", "quantizers", "allocators"),
        *("objectives", "weightings", "datasets"),
    ):
        for name, entry in found(kind).items():
            assert f'"{name}"' in declaration(entry)
    owner = {
        metric.name: name
        for name, extractor in EXTRACTORS.items()
        for metric in (*extractor.of_reconstructions(), *extractor.of_samples())
    }
    for name, entry in found("metrics").items():
        assert f'"{owner.get(name, name)}"' in declaration(entry)
        needs = EXTRACTORS[owner[name]].needs if name in owner else ""
        assert entry.about == METRICS[name].caption + (f"; needs {needs}" if needs else "")
    for entry in found("suites").values():
        assert declaration(entry).startswith(f"suite: {entry.name}\n")


def test_encoders_are_told_by_their_own_words():
    for name, entry in found("tokenizers").items():
        told = " ".join((ENCODERS[name].load().__doc__ or "").replace("`", "").split())
        assert told.startswith(entry.about)


def test_a_sentence_ends_where_it_ends():
    about = found("quantizers")["fsq"].about
    assert about == (
        "Finite scalar quantization (Mentzer et al. 2023): one code per combination of levels"
    )


def test_suites_are_all_files_below_a_folder_the_upper_ones_first(tmp_path):
    content = yaml.safe_load((EXPERIMENTS / "quickstart.yaml").read_text())
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.yaml").write_text("extends: ../z.yml\nsuite: above\n")
    (tmp_path / "z.yml").write_text(yaml.safe_dump(content))
    (tmp_path / "torn.yaml").write_text("suite: [")
    (tmp_path / "notes.txt").write_text("suite: no")
    entries = listing.entries(["suites"], suites=tmp_path)
    assert [entry.name for entry in entries] == ["torn", "quickstart", "above"]
    assert entries[0].about.startswith("not valid: ")
    assert entries[1].about == entries[2].about == content["question"]
    assert entries[2].defined == f"{tmp_path / 'inner' / 'a.yaml'}:2"
    assert len(found("suites")) == len(list(EXPERIMENTS.rglob("*.yaml")))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="give --suites"):
        found("suites", tmp_path / "nothing")
    assert found("metrics", tmp_path / "nothing")


def test_nothing_slow_is_imported():
    code = """
import sys
from pathlib import Path
from bench.commands.support import choices as listing
listing.entries(listing.KINDS, suites=Path('experiments'))
print([name for name in ('torch', 'ray', 'mlflow', 'matplotlib', 'scipy') if name in sys.modules])
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=EXPERIMENTS.parent
    )
    assert answer.stdout.strip() == "[]", answer.stderr


def test_metrics_and_extractors_say_which_files_they_need():
    files = "bank.weights.vgg16: vgg16-397923af.pth, bank.weights.lpips: weights-vgg16-lpips.pth"
    assert found("extractors")["lpips"].about.endswith(f"; needs {files}")
    assert found("metrics")["lpips"].about == f"LPIPS (VGG16), lower is better; needs {files}"
    small = found("metrics")["gfd_dinov2_small"].about
    assert small.endswith("needs bank.weights.dinov2_small: dinov2_vits14_pretrain.pth")
    assert found("metrics")["stlpips"].about.endswith("needs pip install adatok-bench[stlpips]")
    assert "needs" not in found("extractors")["lite0"].about
