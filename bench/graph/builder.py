"""From cells to the graph of stages they need.

A stage may depend on another one's *result*, not only on its artifact: a fixed-length tokenizer of
the policy's mean budget waits for the policies' evaluations. Such a stage is a node like any other;
its key is known once those evaluations are in the store.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from typing import Any

from adatok_core.config import ConstraintWeighting, PolicyConfig
from adatok_core.registry import load_attribute
from bench.config.bank import BankConfig
from bench.config.cell import CellConfig
from bench.config.settings import parse, plain
from bench.config.tokenizers import foreign_kind
from bench.data.datasets import FluentScenes, ImageFolder, WebDataset
from bench.data.image_folder import WHOLE, SplitFolders
from bench.data.sources.places import ImageSource, source_of
from bench.files import canonical_json, file_sha256
from bench.graph.codesign_graph import last_round
from bench.graph.nodes import Banks, Node
from bench.graph.trained import of_training
from bench.metrics.extractors import require_extractors, used_extractors
from bench.metrics.per_image import require_measured
from bench.metrics.weight_files import WeightFile, find_weights, weights_to_runtime
from bench.suite.cells import Cell
from bench.suite.loading import Suite

DIAGNOSTICS = ("perturbed", "prefix_cosine_images")
SELECTING = ("limit", "ids", "undivided")


class Builder:
    """Makes each distinct stage once."""

    def __init__(
        self,
        suite: Suite,
        name_folder: Callable[[str, SplitFolders], str],
        name_source: Callable[[ImageSource, int, int], str],
    ):
        self.suite = suite
        self.nodes: dict[tuple[Any, ...], Node] = {}
        self.whole: set[Node] = set()
        # Cells share their images and weights, which may take long to read.
        self.fingerprint = functools.cache(name_folder)
        self.survey = functools.cache(name_source)
        self.file_sha256 = functools.cache(file_sha256)
        self.identify = functools.cache(_identify)

    def node(
        self,
        stage: str,
        config: dict[str, Any],
        *,
        inputs: dict[str, Node] | None = None,
        runtime: dict[str, Any] | None = None,
        budget_sources: tuple[Node, ...] = (),
    ) -> Node:
        """The node of these settings and inputs: the same one each time."""
        inputs = inputs or {}
        identity = (
            stage,
            repr(config),
            tuple((name, id(node)) for name, node in inputs.items()),
            tuple(id(node) for node in budget_sources),
        )
        if identity not in self.nodes:
            resources = self.suite.resources[stage]
            self.nodes[identity] = Node(
                stage, config, inputs, runtime or {}, resources, budget_sources
            )
        return self.nodes[identity]

    def data(self, cell: Cell, split: str) -> Node:
        """The images of a split."""
        data = cell.config.data
        config = {**plain(data), "split": split}
        if isinstance(data, FluentScenes | ImageFolder | WebDataset):
            config.pop("augment")  # It is the training's.
        for key in SELECTING:  # They leave no trace where they are not given.
            if not config.get(key):
                config.pop(key, None)
        files = {}
        if "ids" in config:
            files = {"ids": config["ids"]["file"]}
            config["ids"] = config["ids"]["sha256"]
        if isinstance(data, WebDataset) or (isinstance(data, ImageFolder) and _in_files(data)):
            return self._surveyed(data, config, files)
        if not isinstance(data, ImageFolder):
            # The sizes of the other splits do not change this one.
            config["count"] = getattr(data, split)
            del config["train"], config["validation"], config["calibration"]
            return self.node("data", config, runtime=files)
        # The tree's content names the stages, not the path it happens to have here.
        runtime = _place_of(data)
        for key in ("path", "train_folder", "validation_folder", "store"):
            del config[key]
        content = {"fingerprint": self.fingerprint(runtime["path"], data.folders)}
        manifest = self.node("manifest", content, runtime=runtime)
        return self.node("data", config, inputs={"manifest": manifest}, runtime=runtime | files)

    def _surveyed(
        self, data: ImageFolder | WebDataset, config: dict[str, Any], files: dict[str, Any]
    ) -> Node:
        """The images of a split that stay where they are, in a folder or in shards, which is one:
        the content names the stages."""
        runtime = _place_of(data)
        places = ("path", "train_folder", "validation_folder", "train", "validation", "classes")
        for key in ("store", *places):
            config.pop(key, None)
        config["kind"] = "files" if _in_files(data) else data.kind
        cpus = self.suite.resources["manifest"].cpus
        digest = self.survey(source_of(runtime), data.resolution, cpus)
        content = {"fingerprint": digest, "resolution": data.resolution}
        manifest = self.node("manifest", content, runtime=runtime)
        return self.node("data", config, inputs={"manifest": manifest}, runtime=runtime | files)

    def tokenizer(self, cell: Cell, evaluated: list[Node]) -> Node:
        """The training, its further rounds, and the fine-tuning that starts from the last of them.

        Or one that is there already.
        """
        if cell.config.trained_here is None:
            return self.foreign(cell)
        config, images = cell.config, self.data(cell, "train")
        sources = tuple(evaluated[index] for index in cell.sources)
        augment = plain(getattr(config.data, "augment", None))
        seen = {"augment": augment} if augment else {}
        runtime = {"loader": plain(self.suite.loader)} if _in_files(config.data) else {}
        weights = self.weights(config.bank)
        settings, files = of_training(config.training, weights, key="training")
        first = self.node(
            "tokenizer",
            {"tokenizer": plain(config.tokenizer), **settings, **seen},
            inputs={"images": images},
            runtime=runtime | files,
            budget_sources=sources,
        )
        self._set_race(cell, first)
        trained = last_round(self, cell, first, seen=seen, runtime=runtime)
        if config.finetuning is None:
            return trained
        settings, files = of_training(
            config.finetuning.training, weights, key="finetuning.training"
        )
        return self.node(
            "tokenizer",
            {
                "tokenizer": plain(config.final_tokenizer),
                **settings,
                "trainable": config.finetuning.trainable,
                **seen,
            },
            inputs={"images": images, "start": trained},
            runtime=runtime | files,
            budget_sources=sources,
        )

    def _set_race(self, cell: Cell, training: Node) -> None:
        """Let a training be stopped early, unless another cell needs all of it."""
        if cell.race is None:
            self.whole.add(training)
            training.finish_whole()
        elif training not in self.whole and not training.race:
            training.race.append(cell.race)
            training.judged_on.append(self.data(cell, "validation"))

    def foreign(self, cell: Cell) -> Node:
        """A tokenizer that is not trained here; its content names it, not its paths."""
        settings = plain(cell.config.tokenizer)
        folder, kind = os.getcwd(), foreign_kind(settings["kind"])
        shape = ("kind", "budgets", "factory", "codebook_size", "bits_per_token", "nested")
        config: dict[str, Any] = {
            "tokenizer": {name: settings[name] for name in shape if name in settings},
            "identity": self.identify(canonical_json(settings), folder),
            "resolution": cell.config.data.resolution,
        }
        runtime: dict[str, Any] = {"tokenizer": settings, "folder": folder}
        if kind.images is None:
            return self.node(kind.stage, config, runtime=runtime)
        images = load_attribute(kind.images)(cell.config.tokenizer, folder=folder)
        config["identity"] = {**config["identity"], "images": self.fingerprint(images, WHOLE)}
        return self.node(kind.stage, config, runtime={**runtime, "images": images})

    def banks(self, cell: Cell, tokenizer: Node) -> Banks:
        """The banks that a cell may need, each made once."""
        bank = cell.config.bank
        common = {"batch": bank.batch, "shard": bank.shard, "budgets": plain(bank.budgets)}
        if bank.latents is not None:
            common["latents"] = bank.latents
        require_measured(bank.metrics)
        weights = self.weights(bank)
        hashes = {name: file.sha256 for name, file in weights.items()}
        inception = hashes.pop("inception", None)

        def of(split: str, config: dict[str, Any], runtime: dict[str, Any] | None = None) -> Node:
            inputs = {"images": self.data(cell, split), "tokenizer": tokenizer}
            if _has_images(tokenizer):  # What lacks there is to be found before anything is made.
                tokenizer.after[id(inputs["images"])] = inputs["images"]
            runtime = {**(runtime or {}), **_where(tokenizer)}
            return self.node("bank", common | config, inputs=inputs, runtime=runtime)

        perceptual = bank.extractor_resolution if bank.policy_perceptual else None
        policy = {"purpose": "policy", "extractor_resolution": perceptual}
        training = policy | {"images": bank.policy_images} | _sample(cell.config)
        return Banks(
            validation=lambda: of(
                "validation",
                {
                    "purpose": "evaluation",
                    "own_targets": plain(bank.own_targets),
                    "extractor_resolution": bank.extractor_resolution,
                    "second_extractor": bank.second_extractor,
                    "inception": inception,
                    **bank.named,
                    **({"weights": hashes} if hashes else {}),
                },
                weights_to_runtime(weights),
            ),
            training=lambda: of("train", training),
            calibration=lambda: of("calibration", policy | {"images": None}),
            # Of the validation images what a policy's bank holds: no features to wait for.
            held_out=lambda: of("validation", policy | {"images": None}),
        )

    def policy(
        self, cell: Cell, tokenizer: Node, banks: Banks, *, config: PolicyConfig | None = None
    ) -> Node:
        """The training of a policy, the cell's own unless told, on the bank of training images."""
        config = config or cell.config.policy
        assert config is not None
        inputs = {"bank": banks.training()}
        if config.input == "quantized":
            inputs["tokenizer"] = tokenizer
        if config.input == "pixels":
            inputs["images"] = self.data(cell, "train")
        if _has_calibration(cell.config) and isinstance(config.weighting, ConstraintWeighting):
            inputs["calibration"] = banks.calibration()
            if config.input == "pixels":
                inputs["calibration_images"] = self.data(cell, "calibration")
        return self.node("policy", plain(config), inputs=inputs)

    def fitting(self, cell: Cell, banks: Banks) -> dict[str, Node]:
        """What allocators that are not trained are fitted on: their own or the controls'."""
        needs, aside = cell.config.fitting_needs, _has_calibration(cell.config)
        inputs = {}
        if "training" in needs or ("calibration" in needs and not aside):
            inputs["training"] = banks.training()
        if "calibration" in needs and aside:
            inputs["calibration"] = banks.calibration()
        if "pixels" in needs:
            inputs["training_images"] = self.data(cell, "train")
            if aside:
                inputs["calibration_images"] = self.data(cell, "calibration")
        return inputs

    def evaluation(self, cell: Cell, evaluated: list[Node]) -> Node:
        """The evaluation of a cell's reconstructions."""
        config, tokenizer = cell.config, self.tokenizer(cell, evaluated)
        banks = self.banks(cell, tokenizer)
        images = self.data(cell, "validation")
        inputs = {
            "bank": banks.validation(),
            "tokenizer": tokenizer,
            "images": images,
            "png_sizes": self.node("png_sizes", {}, inputs={"images": images}),
        }
        settings = plain(config.evaluation)
        for key in DIAGNOSTICS:  # Stages of their own: to ask for them computes nothing else anew.
            del settings[key]
        if config.policy is not None:
            inputs["policy"] = self.policy(cell, tokenizer, banks)
        if config.allocator is not None:
            settings["allocator"] = plain(config.allocator)
        if not config.allocates:
            del settings["heuristics"]  # a curve has no controls
        else:
            inputs |= self.fitting(cell, banks)
        runtime = {**weights_to_runtime(self.weights(config.bank)), **_where(tokenizer)}
        return self.node("evaluation", settings, inputs=inputs, runtime=runtime)

    def weights(self, bank: BankConfig) -> dict[str, WeightFile]:
        """The weight files that a bank's extractors need, by name, with their SHA-256."""
        require_extractors(bank.extractors)
        paths = bank.weight_paths
        used = used_extractors(
            second=bank.second_extractor, inception="inception" in paths, named=bank.extractors
        )
        needed = [weights for one in used for weights in one.weights]
        return find_weights(needed, paths, bank.weight_hashes, sha256_of=self.file_sha256)


def _sample(config: CellConfig) -> dict[str, Any]:
    """How the training images of a policy's bank are drawn; nothing where the first are taken."""
    seed, has_classes = config.bank.policy_seed, isinstance(config.data, ImageFolder | WebDataset)
    return {"sample": {"seed": seed or 0}} if has_classes or seed is not None else {}


def _has_calibration(config: CellConfig) -> bool:
    """Whether images are set aside on which a mean budget is made to hold."""
    data = config.data
    by_share = isinstance(data, ImageFolder | WebDataset)
    set_aside: float = getattr(data, "calibration_fraction" if by_share else "calibration")
    return set_aside > 0


def _in_files(data: Any) -> bool:
    """Whether the images of a dataset stay in their files."""
    return isinstance(data, ImageFolder | WebDataset) and data.store == "files"


def _place_of(data: ImageFolder | WebDataset) -> dict[str, Any]:
    """Where images are, which names no stage, and what of a folder is taken for what."""
    if isinstance(data, WebDataset):
        return data.shards
    chosen = {"train_folder": data.folders.train, "validation_folder": data.folders.validation}
    place: dict[str, Any] = {"path": os.path.expanduser(data.path)}
    place |= {key: name for key, name in chosen.items() if name is not None}
    return {**place, "undivided": True} if data.undivided else place


def _has_images(tokenizer: Node) -> bool:
    """Whether it is a folder of images that were made elsewhere."""
    return "images" in tokenizer.runtime


def _where(tokenizer: Node) -> dict[str, Any]:
    """The place of such a folder, which may move while its content names the stages."""
    return {"reconstructions": tokenizer.runtime["images"]} if _has_images(tokenizer) else {}


def _identify(settings: str, folder: str) -> dict[str, Any]:
    raw = json.loads(settings)
    kind = foreign_kind(raw["kind"])
    identity: dict[str, Any] = load_attribute(kind.identify)(
        parse(kind.config, raw, where="tokenizer"), folder=folder
    )
    return identity
