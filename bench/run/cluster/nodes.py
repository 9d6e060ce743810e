"""Nodes of a cluster, looked at before anything runs: store, packages, code."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.store.provenance import package_versions
from bench.store.store import Store

ANSWER_SECONDS = 120.0  # A worker that starts imports torch.
# Until Ray notices that a node has died, which may have been just before.
DEATH_SECONDS = 40.0
OURS = ("adatok_core", "bench")


def require_alike(root: Path) -> None:
    """Refuse nodes on which stages would fail, or give other numbers.

    Raises:
        UserError: names each node that does not see the store, cannot lock files there, has other
            versions or another code than this process, or does not answer.
    """
    ray: Any = importlib.import_module("ray")
    strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
    token = root / "work" / f"seen-by-{os.urandom(8).hex()}"
    token.parent.mkdir(exist_ok=True)
    token.touch()
    here, looks = about_here(), {}
    problems: list[str] = []
    mute: dict[str, str] = {}
    try:
        for node in (node for node in ray.nodes() if node["Alive"]):
            pinned = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(look).options(num_cpus=0, max_retries=0, scheduling_strategy=pinned)
            looks[task.remote(str(root), token.name)] = node
        answered, silent = ray.wait([*looks], num_returns=len(looks), timeout=ANSWER_SECONDS)
        mute = {looks[one]["NodeID"]: f"{_name(looks[one])}: gives no answer" for one in silent}
        for one in answered:
            name = _name(looks[one])
            try:
                problems += [f"{name}: {problem}" for problem in unlike(here, ray.get(one))]
            except Exception as error:  # Ray raises nearly anything.
                last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                mute[looks[one]["NodeID"]] = f"{name}: cannot run adatok-bench ({last})"
        problems += _of_the_living(ray, mute)
    finally:
        token.unlink(missing_ok=True)
    if problems:
        raise UserError(
            f"{'; '.join(sorted(problems))}; mend it, or take the node out of the cluster"
        )


def look(root: str, token: str) -> dict[str, Any]:
    """On a node: what of it matters to stages. `store` is what is wrong with that, or None."""
    wrong = None
    if not (Path(root) / "work" / token).exists():
        wrong = f"does not see the store {root}; mount it there under the same path"
    else:
        try:
            Store.open(root)
        except UserError as error:
            wrong = str(error)
    return {**about_here(), "store": wrong}


def about_here() -> dict[str, Any]:
    """Python, packages and code of this process."""
    versions = package_versions() | {"Python": platform.python_version()}
    return {"versions": versions, "code": code_digest()}


def unlike(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """What tells a node from this process, in words; builds of one version count as the same."""
    if there["store"]:
        return [there["store"]]
    found = []
    for name in sorted(here["versions"].keys() | there["versions"].keys()):
        mine, other = (about["versions"].get(name) for about in (here, there))
        if (mine or "").partition("+")[0] != (other or "").partition("+")[0]:
            found.append(f"{name} {other or 'missing'} (here {mine or 'missing'})")
    if found:
        return [f"has other packages than this machine: {', '.join(found)}"]
    if here["code"] != there["code"]:
        return ["has another state of adatok-bench's code than this machine"]
    return []


def code_digest() -> str:
    """A hash of our packages' sources, wherever they lie."""
    digest = hashlib.sha256()
    for name in OURS:
        folder = Path(str(importlib.import_module(name).__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _of_the_living(ray: Any, problems: dict[str, str]) -> list[str]:
    """Problems, by their nodes, of those that stay: a node that has died is none."""
    until = time.monotonic() + DEATH_SECONDS
    while problems:
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        problems = {node: problem for node, problem in problems.items() if node in alive}
        if time.monotonic() >= until:
            break
        time.sleep(min(1.0, DEATH_SECONDS))
    return [*problems.values()]


def _name(node: Mapping[str, Any]) -> str:
    """`node gpu-7 (10.0.0.7, 1f0c2ab9)`: host, address, the begin of Ray's own name."""
    host = node.get("NodeManagerHostname") or socket.gethostname()
    return f"node {host} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})"
