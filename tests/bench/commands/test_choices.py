import inspect
import subprocess
import sys
import typing
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
import yaml

from adatok_core import config, encoders, quantizers
from adatok_core.config.objective import ObjectiveConfig
from adatok_core.config.weighting import WeightingConfig
from bench.commands import choices as listing
from bench.config.allocators import AllocatorConfig
from bench.config.cell import CellConfig
from bench.errors import UserError
from bench.metrics.declared import METRICS
from bench.records.report_plugins import GROUP

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def found(kind, suites=EXPERIMENTS):
    return {entry.name: entry for entry in listing.entries([kind], suites=suites)}


def names(union):
    return {one.kind for one in typing.get_args(union)}


@pytest.mark.parametrize(
    ("kind", "registered"),
    [
        ("tokenizers", set(encoders.ENCODINGS)),
        ("quantizers", {one.kind for one in quantizers.KINDS}),
        ("allocators", names(AllocatorConfig) | {"policy"}),
        ("objectives", names(ObjectiveConfig)),
        ("weightings", names(WeightingConfig)),
        ("metrics", set(METRICS)),
        ("datasets", names(typing.get_type_hints(CellConfig)["data"])),
        ("reports", set(entry_points(group=GROUP).names)),
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
    from bench.commands.listing import KINDS

    assert tuple(listing.KINDS) == KINDS


def test_encodings_that_a_suite_may_name_are_those_with_an_encoder():
    encoding = typing.get_type_hints(config.TokenizerConfig)["encoding"]
    assert set(found("tokenizers")) == set(typing.get_args(encoding))


def test_places_are_where_things_are_defined():
    def line(entry):
        path, number = entry.defined.rsplit(":", 1)
        return Path(path).read_text().splitlines()[int(number) - 1]

    for name, entry in found("tokenizers").items():
        assert line(entry).startswith(f"class {encoders.ENCODINGS[name].__name__}(")
        assert entry.about in inspect.getdoc(encoders.ENCODINGS[name]).replace("`", "").replace(
            "\n", " "
        )
    for name, entry in found("metrics").items():
        assert line(entry).strip().startswith(f'"{name}": MetricInfo(')
        assert entry.about == METRICS[name].caption
    for entry in found("reports").values():
        assert line(entry).startswith("def ")
    for entry in found("suites").values():
        assert line(entry) == f"suite: {entry.name}"
    assert line(found("quantizers")["vq"]) in ("@dataclass(frozen=True, kw_only=True)", "class VQ:")


def test_a_report_that_cannot_be_imported_is_told(monkeypatch):
    registry = Registry("report", group="no.such.group", expects=Declaration)
    registry.add("gone", "bench.no_such_module:REPORT")
    monkeypatch.setattr(listing, "REPORTS", registry)
    (entry,) = found("reports").values()
    assert entry.about.startswith("cannot be used: report 'gone'")


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
from bench.commands import choices as listing
listing.entries(listing.KINDS, suites=Path('experiments'))
print([name for name in ('torch', 'ray', 'mlflow', 'matplotlib', 'scipy') if name in sys.modules])
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=EXPERIMENTS.parent
    )
    assert answer.stdout.strip() == "[]", answer.stderr
