import subprocess
import sys

CODE = """
import os, sys
from pathlib import Path
from bench.run.quiet import output_to
print("before")
with output_to(Path(sys.argv[1])):
    os.write(1, b"of a library, 1\\n")
    os.write(2, b"of a library, 2\\n")
    print("of a library, in Python")
    print("for people", file=sys.stderr)
print("after")
print("for people", file=sys.stderr)
"""


def test_libraries_write_to_the_log_and_only_stderr_of_python_reaches_people(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", CODE, str(log)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stdout == "before\nafter\n"
    assert answer.stderr == "for people\nfor people\n"
    assert log.read_text() == "of a library, 1\nof a library, 2\n"
