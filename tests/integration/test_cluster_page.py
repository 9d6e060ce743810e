"""The commands and files of docs/cluster.md, as far as they can be looked at without a cluster."""

import re
import shlex
import subprocess
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from ray.scripts.scripts import cli as ray

from bench.commands.cli import cli

DOCS = Path(__file__).parents[2] / "docs"
PROGRAMS = {"adatok-bench": cli, "ray": ray}


def commands(text):
    """Commands of these programs: the words behind each name, up to a comment or the line's end."""
    for line in text.replace("\\\n", " ").replace('"${amounts[@]}"', "").splitlines():
        found = re.search(r"(?:^|\s)(adatok-bench|ray) ([a-z-]+ .*)", line)
        if found and not line.lstrip().startswith(("#", "|")):
            yield found[1], shlex.split(found[2].rstrip("&"), comments=True)


def page_commands():
    blocks = re.findall(r"^```\n(.*?)^```", (DOCS / "cluster.md").read_text("utf-8"), re.M | re.S)
    return [*commands("".join(blocks)), *commands((DOCS / "cluster/slurm.sbatch").read_text())]


def documents():
    with (DOCS / "cluster/rayjob.yaml").open(encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def require_valid(program, words):
    """Refuse a subcommand or an option that there is not."""
    name, *rest = words
    command = PROGRAMS[program].commands[name]
    options = {option for one in command.params for option in one.opts}
    used = [word.partition("=")[0] for word in rest if word.startswith("-")]
    assert used or program == "ray"
    assert set(used) <= options, f"{program} {name}"


def test_its_commands_exist_with_their_options():
    found = page_commands()
    assert {program for program, _ in found} == {*PROGRAMS}
    assert len(found) >= 8
    for program, words in found:
        require_valid(program, words)
    for wrong in (["start", "--adress=x"], ["run", "--ray-adress", "x"]):
        with pytest.raises(AssertionError):
            require_valid("ray" if wrong[0] == "start" else "adatok-bench", wrong)


def test_the_job_for_slurm_is_a_script():
    assert subprocess.run(["bash", "-n", DOCS / "cluster/slurm.sbatch"], check=True).returncode == 0


def test_the_job_for_kubernetes_runs_our_command_in_pods_that_are_alike():
    volume, job = documents()
    assert job["kind"] == "RayJob"
    spec = job["spec"]["rayClusterSpec"]
    (command,) = commands(job["spec"]["entrypoint"])
    require_valid(*command)
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    store = {"name": "store", "persistentVolumeClaim": {"claimName": volume["metadata"]["name"]}}
    for pod in pods:
        assert store in pod["volumes"]
        (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "store")
        assert command[1][command[1].index("--store") + 1].startswith(mount["mountPath"])
    needed = [Requirement(text) for text in requires("adatok-bench")]
    (tune,) = (one for one in needed if one.name == "ray")
    assert spec["rayVersion"] in tune.specifier
