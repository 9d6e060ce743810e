import subprocess

import psutil

from bench.run.cluster.memory import end_below


def test_all_below_a_process_is_ended_and_it_goes_on():
    script = "sh -c 'sleep 60 & echo begun; wait; echo never' & wait; echo on"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        end_below(psutil.Process(process.pid))
        assert process.communicate(timeout=10) == ("on\n", None)  # Nobody holds the pipe.
