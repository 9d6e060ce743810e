"""What of a tokenizer counts in stage keys: its code and its files by content, never by path."""

import sys

import pytest

from bench.config.tokenizers import FACTORIES, ExternalTokenizer
from bench.errors import UserError
from bench.external import host, identity
from bench.external.identity import identity_of, origin_of, own_budgets


def identified(folder, factory="fourths:Quarters", python=None, **arguments):
    identity._source.cache_clear()
    settings = ExternalTokenizer(factory=factory, arguments=arguments, python=python)
    return identity_of(settings, folder=str(folder))


def test_a_file_counts_by_its_content_and_not_by_its_path(tmp_path, write):
    write("one", "a/weights.bin"), write("one", "b/other.bin"), write("two", "c/weights.bin")
    by = {name: identified(tmp_path, weights=name) for name in ("a/weights.bin", "b/other.bin")}
    assert by["a/weights.bin"] == by["b/other.bin"]
    assert identified(tmp_path, weights=str(tmp_path / "a/weights.bin")) == by["a/weights.bin"]
    assert identified(tmp_path, weights="c/weights.bin") != by["a/weights.bin"]
    assert identified(tmp_path, weights="nothere/weights.bin") != by["a/weights.bin"]
    assert identified(tmp_path, more=[{"w": "a/weights.bin"}]) == identified(
        tmp_path, more=[{"w": "b/other.bin"}]
    )


def test_a_folder_counts_by_the_names_and_content_of_its_files(tmp_path, write):
    write("one", "a/x/weights.bin"), write("one", "b/x/weights.bin"), write("one", "c/x/other.bin")
    assert identified(tmp_path, weights="a/x") == identified(tmp_path, weights="b/x")
    assert identified(tmp_path, weights="a/x") != identified(tmp_path, weights="c/x")
    before = identified(tmp_path, weights="a/x")
    write("more", "a/x/y.bin")
    assert identified(tmp_path, weights="a/x") != before


def test_arguments_and_the_factory_count(tmp_path, write):
    assert identified(tmp_path, levels=4) != identified(tmp_path, levels=8)
    write((tmp_path / "fourths.py").read_text() + "\nOther = Quarters\n")
    assert identified(tmp_path) != identified(tmp_path, factory="fourths:Other")


@pytest.mark.parametrize("factory", ["fourths:Quarters", "fourths.py:Quarters"])
def test_an_edited_module_is_another_one(tmp_path, write, factory, python):
    before = identified(tmp_path, factory, python)
    text = (tmp_path / "fourths.py").read_text()
    write("nothing of it", "beside.py")
    assert identified(tmp_path, factory, python) == before
    write("import helper\n" + text), write("A = 1", "helper.py")
    one = identified(tmp_path, factory, python)
    write("A = 2", "helper.py")
    two = identified(tmp_path, factory, python)
    write("import deeper", "helper.py"), write("A = 1", "deeper/__init__.py")
    three = identified(tmp_path, factory, python)
    write("A = 1", "deeper/still.py")
    four = identified(tmp_path, factory, python)
    assert len({str(found) for found in (before, one, two, three, four)}) == 5


def test_all_of_a_package_counts(tmp_path, write):
    write("", "pack/__init__.py"), write("", "pack/sub/__init__.py")
    write((tmp_path / "fourths.py").read_text(), "pack/sub/tok.py")
    before = identified(tmp_path, "pack.sub.tok:Quarters")
    write("LAYERS = 3", "pack/layers.py")
    assert identified(tmp_path, "pack.sub.tok:Quarters") != before


def test_an_edited_file_is_made_anew_in_the_same_process(tmp_path, write):
    text = (tmp_path / "fourths.py").read_text()
    for size in (16, 32):
        write(text.replace("levels=16", f"levels={size}"))
        made = host.make("fourths.py:Quarters", {}, str(tmp_path), "cpu")
        assert made.levels == size


@pytest.fixture
def installed(write, tmp_path):
    """`installed(direct, listed)`: a package as pip leaves it; its `RECORD` lists the module."""

    def installed(*, direct=None, listed=True, version="1.5", digest="abc"):
        write((tmp_path / "fourths.py").read_text(), "site/quartered.py")
        about = f"site/quartered-{version}.dist-info"
        text = f"Metadata-Version: 2.1\nName: quartered\nVersion: {version}\n"
        write(text, f"{about}/METADATA")
        write("quartered\n", f"{about}/top_level.txt")
        write(f"quartered.py,sha256={digest},9\n" * listed, f"{about}/RECORD")
        if direct:
            write(direct, f"{about}/direct_url.json")
        return tmp_path / "site"

    return installed


def test_a_package_from_an_index_counts_by_its_version(installed):
    found = identified(installed(), "quartered:Quarters")
    assert found["code"] == {"package": "quartered", "version": "1.5"}


def test_one_that_is_installed_in_place_counts_by_its_files(installed, write):
    site = installed(listed=False, direct='{"dir_info": {"editable": true}}')
    before = identified(site, "quartered:Quarters")
    assert set(before["code"]) == {"sha256"}
    write("other = 1", "site/quartered.py")
    assert identified(site, "quartered:Quarters") != before


def test_one_from_no_index_counts_by_version_and_content(installed):
    site = installed(direct='{"url": "file:///home", "dir_info": {}}')
    before = identified(site, "quartered:Quarters")["code"]
    assert before["version"] == "1.5"
    installed(direct='{"url": "file:///other", "dir_info": {}}', digest="def")
    assert identified(site, "quartered:Quarters")["code"] != before


def test_a_registered_name_is_its_module_and_function(tmp_path, write, monkeypatch):
    monkeypatch.setattr(FACTORIES, "_entries", {})
    FACTORIES.add("mine", "fourths:Quarters")
    settings = ExternalTokenizer(factory="mine")
    assert origin_of(settings, folder=str(tmp_path)).factory == "fourths:Quarters"
    assert own_budgets(settings, folder=str(tmp_path)) == (1, 2, 4)
    with pytest.raises(UserError, match=r"unknown factory 'mime'; did you mean 'mine'\?; give mod"):
        origin_of(ExternalTokenizer(factory="mime"), folder=str(tmp_path))


def test_a_plug_in_is_found_by_its_entry_point(write, tmp_path, monkeypatch):
    about = "plug/plugged-1.dist-info"
    write((tmp_path / "fourths.py").read_text(), "plug/plugged.py")
    write("Metadata-Version: 2.1\nName: plugged\nVersion: 1\n", f"{about}/METADATA")
    write("[adatok_bench.tokenizers]\nplug = plugged:Quarters\n", f"{about}/entry_points.txt")
    monkeypatch.setattr(FACTORIES, "_complete", False)
    monkeypatch.setattr(FACTORIES, "_entries", {})
    monkeypatch.syspath_prepend(str(tmp_path / "plug"))
    settings = ExternalTokenizer(factory="plug", arguments={"levels": 4})
    assert own_budgets(settings, folder=str(tmp_path)) == (1, 2, 4)


def test_a_missing_file_asks_for_budgets(tmp_path, write):
    write("def make(): open('/no/weights.pth')")
    with pytest.raises(UserError, match=r"FileNotFoundError.*give tokenizer.budgets to go on"):
        own_budgets(ExternalTokenizer(factory="fourths.py:make"), folder=str(tmp_path))


def test_the_interpreter_does_not_count(tmp_path, write):
    assert identified(tmp_path) == identified(tmp_path, python=sys.executable)
