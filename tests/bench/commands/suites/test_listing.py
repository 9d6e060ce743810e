import json

from adatok_core.config.quantizer import QUANTIZERS


def test_a_pipe_gets_a_line_each_and_json_the_same(adatok):
    lines = [line.split("\t") for line in adatok("list", "quantizers").out.splitlines()]
    assert len(lines) == len(QUANTIZERS)
    rows = json.loads(adatok("list", "quantizers", "--json").out)
    assert [[row["kind"], row["name"], row["defined"], row["about"]] for row in rows] == lines


def test_a_terminal_gets_names_descriptions_and_places_in_its_width(adatok):
    answer = adatok("list", "quantizers", columns=60)
    assert "quantizers" in answer.out.splitlines()[0]
    assert "tokenizer.quantizer.kind" in answer.out.splitlines()[0]
    assert "quantizer.py:" in answer.out
    assert "residual_vq" in answer.out


def test_all_kinds_and_another_folder_of_suites(adatok, tmp_path, small_run):
    answer = adatok("list", "--suites", small_run.suite.path.parent)
    kinds = {line.split("\t")[0] for line in answer.out.splitlines()}
    assert len(kinds) == 12
    assert ("suites", "small") in {tuple(line.split("\t")[:2]) for line in answer.out.splitlines()}
    assert adatok("list", "suites", "--suites", tmp_path / "none").code == 2


def test_elsewhere_all_but_the_suites_is_listed(adatok, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = adatok("list")
    assert answer.code == 0
    assert len({line.split("\t")[0] for line in answer.out.splitlines()}) == 11
    assert "no suites listed" in answer.err
    assert adatok("list", "suites").code == 2
    assert adatok("list", "--suites", "none").code == 2


def test_an_unknown_kind_is_refused(adatok):
    answer = adatok("list", "quantisers")
    assert answer.code == 2
    assert "quantizers" in answer.err
