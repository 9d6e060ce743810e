import json
import shutil
import subprocess

import pytest
from click.shell_completion import ShellComplete

from bench.commands.cli import cli


@pytest.fixture
def store(tmp_path, made_record):
    for suite, arms in {"first": ["elastic", "policy"], "second": ["elastic"]}.items():
        folder = tmp_path / "store" / "records" / suite
        folder.mkdir(parents=True)
        for n, arm in enumerate(arms):
            (folder / f"{suite[0]}{n}abc.json").write_text(json.dumps(made_record(arm=arm).plain()))
    (folder / "torn.json").write_text("{")
    return tmp_path / "store"


@pytest.fixture
def completed(store, monkeypatch):
    monkeypatch.setenv("ADATOK_STORE", str(store))

    def completed(*arguments, incomplete=""):
        complete = ShellComplete(cli, {}, "adatok-bench", "_ADATOK_BENCH_COMPLETE")
        return [item.value for item in complete.get_completions(list(arguments), incomplete)]

    return completed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(adatok, shell):
    answer = adatok("completion", shell)
    assert answer.code == 0
    assert f"_ADATOK_BENCH_COMPLETE={shell}_complete" in answer.out
    assert "adatok-bench" in answer.out


def test_an_unknown_shell_is_refused(adatok):
    answer = adatok("completion", "csh")
    assert answer.code == 2
    assert "csh" in answer.err


def test_bash_takes_the_script(adatok):
    if not shutil.which("bash"):
        pytest.skip("no bash here")
    script = adatok("completion", "bash").out + "complete -p adatok-bench\n"
    answer = subprocess.run(["bash"], input=script, capture_output=True, text=True)
    assert "adatok-bench" in answer.stdout, answer.stderr


def test_commands_options_and_kinds(completed):
    assert completed(incomplete="co") == ["compare", "completion"]
    assert completed("results", incomplete="--w") == ["--where"]
    assert completed("list", incomplete="t") == ["tokenizers"]


def test_suites_of_the_store(completed):
    assert completed("results") == ["first", "second"]
    assert completed("results", incomplete="s") == ["second"]
    assert completed("compare", "first", incomplete="f") == ["f0abc", "f1abc", "first"]


def test_a_suite_without_records_may_be_a_file(completed):
    assert completed("results", incomplete="my_") == ["my_"]


def test_arms_behind_the_colon_and_keys_once_begun(completed):
    assert completed("export") == ["first", "second"]
    assert completed("export", incomplete="first:") == ["first:elastic", "first:policy"]
    assert completed("export", incomplete="first:p") == ["first:policy"]
    assert completed("export", incomplete="s0") == ["s0abc"]
    assert "second:elastic" in completed("export", incomplete="second:")


def test_the_store_given_on_the_line_is_looked_at(completed, tmp_path):
    assert completed("results", "--store", str(tmp_path / "empty"), incomplete="") == [""]
