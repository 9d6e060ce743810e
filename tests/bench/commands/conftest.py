import os
import sys
from dataclasses import dataclass

import pytest

from bench.commands import cli


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def adatok(capsys, monkeypatch):
    """The command line in this process; `columns` makes stdout a terminal of that width."""

    def invoke(*arguments, columns=None):
        monkeypatch.setattr(sys, "argv", ["adatok-bench", *map(str, arguments)])
        if columns is not None:
            size = os.terminal_size((columns, 24))
            monkeypatch.setattr(
                "bench.commands.support.shared.shutil.get_terminal_size", lambda: size
            )
            monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return invoke
