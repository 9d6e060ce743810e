"""A suite cut to a dry run: a few steps and images of everything, at the shapes that it asks for.

Networks, resolution, lengths, losses, augmentation, precision and loader stay as they are; steps,
batches and the images themselves do not. Of cells that differ in swept seeds alone one is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.stages import OURS
from bench.suite.elsewhere import leave_out, missing_files
from bench.suite.expansion import Arm, Taken
from bench.suite.loading import StageResources, Suite, make_suite, read_suite_file

# As few as distances of features can be measured on, two of each class.
FEW = 4
FOLDER, SHARDS = "images", "shards"


@dataclass(frozen=True, kw_only=True)
class DryRun(Taken):
    """Settings of a dry run: `steps` of every training, of `batch` images each.

    A batch is raised to what ranks and micro-batches can share. Images that the suite has in files,
    and scenes, are to lie in a folder of `place`, as files in its `FOLDER` or shards in `SHARDS`.
    """

    twins = True

    steps: int
    batch: int
    place: Path
    ranks: Mapping[str, int]
    compiled: bool = True

    @property
    def suffix(self) -> str:
        """No suite is called so."""
        return f"@dry-{self.steps}"

    def apply(self, raw: dict[str, Any]) -> None:
        """Cut a cell's settings, which are checked afterwards as ever."""
        leave_out(raw)
        raw["data"] = self._data(raw["data"])
        raw["training"] = self._training(raw.get("training") or {})
        for key in ("codesign", "finetuning"):
            if isinstance(raw.get(key), dict):
                raw[key]["training"] = self._training(raw[key].get("training") or {})
        for owner in (raw, raw.get("codesign") or {}):
            if isinstance(owner.get("policy"), dict):
                owner["policy"] = self._policy(owner["policy"])
        raw["bank"] = self._bank(raw.get("bank") or {})
        raw["evaluation"] = _evaluation(raw.get("evaluation") or {})
        if isinstance(raw.get("generation"), dict):
            raw["generation"] = self._generation(raw["generation"])
        if isinstance(raw.get("throughput"), dict):
            few = {"images": self.batch, "batches": [self.batch], "repeats": 1}
            raw["throughput"] = raw["throughput"] | few

    def _data(self, data: dict[str, Any]) -> dict[str, Any]:
        data = {key: value for key, value in data.items() if key not in ("limit", "ids")}
        place = self.place / f"{data.get('resolution')}px-{data.get('calibration_fraction', 0)}"
        match data.get("kind"):
            case "image_folder":
                for key in ("train_folder", "validation_folder"):
                    data.pop(key, None)
                return data | {"path": str(place / FOLDER)}
            case "webdataset":
                shards = place / SHARDS
                return data | {
                    "train": str(shards / "train-*.tar"),
                    "validation": str(shards / "validation-*.tar"),
                    "classes": str(shards / "classes.txt"),
                }
            case "fluent_scenes":  # Few scenes would not have every class on both sides.
                aside = {"calibration_fraction": 0.5} if data.get("calibration") else {}
                own = {key: data[key] for key in data if key in ("resolution", "augment")}
                return {"kind": "image_folder", "path": str(place / FOLDER)} | own | aside
        kept = ("train", "validation", *["calibration"] * bool(data.get("calibration")))
        return data | {split: self.images[split] for split in kept}

    def _training(self, training: dict[str, Any]) -> dict[str, Any]:
        cut = training | self._schedule
        accumulate = min(training.get("accumulate", 1), self.batch)
        shared = accumulate * self.ranks.get("tokenizer", 1)
        cut |= {"accumulate": accumulate, "batch": -(-self.batch // shared) * shared}
        lengths = training.get("lengths")
        if isinstance(lengths, dict) and 0 < lengths.get("full_share", 0) < 1:
            # Of a small batch too, some images are to keep another length.
            cut["lengths"] = lengths | {"full_share": min(lengths["full_share"], 0.5)}
        if isinstance(training.get("adversarial"), dict):
            start = min(training["adversarial"].get("start_step", 0), self.steps - 1)
            cut["adversarial"] = training["adversarial"] | {"start_step": start}
        return cut if self.compiled else cut | {"compile": False}

    @property
    def images(self) -> dict[str, int]:
        """How many images there are of each split: a batch on all ranks, twice at least."""
        train = 2 * self.batch * max(self.ranks.values(), default=1)
        return {"train": max(2 * FEW, train), "validation": FEW, "calibration": FEW}

    @property
    def _schedule(self) -> dict[str, Any]:
        """Each step is logged and checkpointed."""
        return {"steps": self.steps, "warmup_steps": 0, "log_every": 1, "checkpoint_every": 1}

    def _policy(self, policy: dict[str, Any]) -> dict[str, Any]:
        cut = {name: value for name, value in self._schedule.items() if name != "warmup_steps"}
        cut = policy | cut | {"batch": self.batch}
        if isinstance(policy.get("weighting"), dict) and "every" in policy["weighting"]:
            cut["weighting"] = policy["weighting"] | {"every": 1}
        return cut

    def _bank(self, bank: dict[str, Any]) -> dict[str, Any]:
        cut = bank | {"batch": self.batch}
        if bank.get("policy_images") is not None:
            cut["policy_images"] = self.images["train"]
        return cut

    def _generation(self, generation: dict[str, Any]) -> dict[str, Any]:
        ranks = self.ranks.get("generator", 1)
        training = (generation.get("training") or {}) | self._schedule
        training["batch"] = -(-self.batch // ranks) * ranks
        if not self.compiled:
            training["compile"] = False
        few = {"images": FEW, "labels": None, "classes": "label", "batch": self.batch}
        return generation | {"training": training} | few


def _evaluation(evaluation: dict[str, Any]) -> dict[str, Any]:
    cut = evaluation | {"kid_subset": None, "generative": False}
    if isinstance(evaluation.get("perturbed"), dict):
        cut["perturbed"] = evaluation["perturbed"] | {"images": FEW}
    if evaluation.get("prefix_cosine_images") is not None:
        cut["prefix_cosine_images"] = FEW
    return cut


@dataclass(frozen=True)
class Machine:
    """What a dry run has at hand: threads that compute, one a CPU, and GPUs."""

    cpus: int
    gpus: int


def dry_suite(
    path: Path, *, steps: int, batch: int, place: Path, machine: Machine
) -> tuple[Suite, DryRun, list[str]]:
    """The suite of a file cut to a dry run, how it is cut, and in words what it does without.

    A suite for more GPUs than there are is cut to one process a stage, on the CPU where there is no
    GPU at all, and not compiled there.

    Raises:
        UserError: as `load_suite`.
    """
    file = read_suite_file(path)
    notes = [f"{one} is not there: left out" for one in missing_files(file.base)]
    asked = max([one.gpus or 1 for one in file.resources.values()], default=1.0)
    fits = file.device == "cpu" or machine.gpus >= asked
    if fits:
        resources = {stage: _at_most(one, machine) for stage, one in file.resources.items()}
    else:
        where = "one of them" if machine.gpus else "the CPU, not compiled"
        notes.append(f"{machine.gpus} GPUs here: each stage is one process, on {where}")
        resources = {stage: StageResources(cpus=machine.cpus) for stage in OURS}
    file = replace(
        file,
        arms=[_one_of_each(arm) for arm in file.arms],
        device="cuda" if file.device == "cuda" and machine.gpus else "cpu",
        resources=resources,
        loader=replace(file.loader, workers=min(file.loader.workers, machine.cpus)),
    )
    dry = DryRun(
        steps=steps,
        batch=batch,
        place=place,
        ranks={stage: one.ranks or max(1, int(one.gpus or 1)) for stage, one in resources.items()},
        compiled=fits or machine.gpus > 0,
    )
    return make_suite(file, path, dry), dry, notes


def _at_most(asked: StageResources, machine: Machine) -> StageResources:
    """Resources without the CPUs that this machine does not have."""
    cpus = min(asked.cpus, machine.cpus)
    ranks = asked.ranks and (asked.ranks if asked.gpus else min(asked.ranks, cpus))
    return replace(asked, cpus=cpus, ranks=ranks)


def _one_of_each(arm: Arm) -> Arm:
    """The arm without repetitions by seeds."""
    sweep = {
        name: values[:1] if name.endswith("seed") else values for name, values in arm.sweep.items()
    }
    return replace(arm, sweep=sweep)
