import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bench.commands import cli
from bench.commands.support.ends import ended

PROGRAM = Path(sys.executable).with_name("adatok-bench")


@pytest.fixture
def main(monkeypatch, capsys):
    """`main(...)`: exit code, stdout and stderr of the program in this process."""

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", ["adatok-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    return main


@pytest.fixture
def crashing(monkeypatch):
    """`plan` with a fault."""

    def crash(*arguments, **options):
        raise KeyError("a fault\nof two lines, with http://me:secret@host")

    monkeypatch.setattr(cli.cli.commands["plan"], "callback", crash)


def test_a_crash_is_70_and_one_line_with_the_file_of_its_traceback(main, crashing, tmp_path):
    code, out, err = main("plan", "x.yaml", "--store", tmp_path)
    assert (code, out) == (70, "")
    (line,) = err.splitlines()
    (file,) = (tmp_path / "crashes").iterdir()
    assert line.startswith("error: adatok-bench has crashed (KeyError: ")
    assert line.endswith(str(file))
    text = file.read_text()
    assert "Traceback" in text
    assert "test_ends.py" in text
    assert "secret" not in text + err


def test_a_crash_without_a_store_is_written_to_the_temporary_folder(
    main, crashing, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, _, err = main("plan", "x.yaml", "--store", tmp_path / "none")
    (file,) = tmp_path.iterdir()
    assert code == 70
    assert err.endswith(f"{file}\n")


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "/data/suite.yaml"), "/data/suite.yaml: Perm"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (
            OSError(28, "No space left", "/elsewhere/file"),
            "/elsewhere/file: No space left on device; free",
        ),
        (OSError(28, "No space left", "/store/x"), "cannot write to the store /store/x: No space"),
    ],
)
def test_what_may_not_be_read_or_written_is_named(capsys, error, line):
    assert ended(raising(error), lambda: "/store") == 2
    err = capsys.readouterr().err
    assert line in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_end_like_an_interruption(capsys, number, code):
    before = signal.signal(number, signal.SIG_DFL)  # Under nohup, one is ignored.
    try:
        assert ended(lambda: signal.raise_signal(number), lambda: None) == code
        assert capsys.readouterr().err == "interrupted; the same command goes on from here\n"
        assert signal.getsignal(number) is signal.SIG_DFL
        assert ended(raising(click.Abort()), lambda: None) == 130
    finally:
        signal.signal(number, before)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ended(lambda: signal.raise_signal(signal.SIGHUP), lambda: None) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_reader_that_has_read_enough_ends_it_quietly():
    command = [PROGRAM, "list", "metrics"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_closed_streams_are_no_crash():
    closed = subprocess.run(f"{PROGRAM} list metrics >&- 2>&-", shell=True)
    assert closed.returncode == 0


def test_warnings_of_libraries_are_kept_back_unless_asked_for():
    code = """
import logging, sys, warnings
from bench.commands.support.ends import ended
def command():
    warnings.warn("of a library")
    logging.getLogger("matplotlib").warning("of another")
sys.exit(ended(command, lambda: None))
"""
    for options, told in (([], set()), (["-W", "always"], {"of a library", "of another"})):
        command = [sys.executable, *options, "-c", code]
        answer = subprocess.run(command, capture_output=True, text=True)
        assert answer.returncode == 0
        assert {text for text in ("of a library", "of another") if text in answer.stderr} == told
        assert bool(answer.stderr) == bool(told)
