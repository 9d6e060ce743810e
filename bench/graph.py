"""From cells to the graph of stages they need.

A stage may depend on another one's *result*, not only on its artifact: a fixed-length tokenizer of
the policy's mean budget waits for the policies' evaluations. Such a stage is a node like any other;
its key is known once those evaluations are in the store.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from adatok_core.config import ConstraintWeighting
from bench.cell import BankConfig, CellConfig
from bench.data.fingerprint import fingerprint
from bench.data.image_set import ImageFolder
from bench.errors import UserError
from bench.stage import Resources, StageSpec
from bench.stages import STAGE_VERSIONS
from bench.store import Store
from bench.suite import Cell, Suite


@dataclass(frozen=True, eq=False)
class Node:
    """A stage before its inputs' keys are known. Nodes are shared by identity within a graph.

    `budget_sources` are evaluations whose mean budget becomes the tokenizer's only budget.
    """

    stage: str
    config: dict[str, Any]
    inputs: dict[str, Node]
    runtime: dict[str, Any]
    resources: Resources
    budget_sources: tuple[Node, ...] = ()

    @property
    def needs(self) -> tuple[Node, ...]:
        """All nodes that must be complete before this one can be computed."""
        return (*self.inputs.values(), *self.budget_sources)

    def spec(self, store: Store) -> StageSpec | None:
        """The stage to compute; None while a result that decides its key is missing."""
        inputs = {}
        for name, node in self.inputs.items():
            spec = node.spec(store)
            if spec is None:
                return None
            inputs[name] = (spec.stage, spec.key)
        config = self.config
        if self.budget_sources:
            budget = self.referenced_budget(store)
            if budget is None:
                return None
            config = {**config, "tokenizer": {**config["tokenizer"], "budgets": [budget]}}
        version = STAGE_VERSIONS[self.stage]
        return StageSpec(self.stage, version, config, inputs, self.runtime, self.resources)

    def referenced_budget(self, store: Store) -> int | None:
        """The sources' mean budget, averaged and rounded; None until all are evaluated."""
        means = []
        for node in self.budget_sources:
            spec = node.spec(store)
            if spec is None or not store.has(spec.stage, spec.key):
                return None
            means.append(
                store.description(spec.stage, spec.key)["result"]["metrics"]["mean_tokens"]
            )
        return round(sum(means) / len(means))


@dataclass(frozen=True)
class Banks:
    """Makers of a cell's banks: one that is not asked for is no part of the graph."""

    validation: Callable[[], Node]
    training: Callable[[], Node]
    calibration: Callable[[], Node]


@dataclass
class Graph:
    """Nodes of a suite: `evaluations[i]` is the last stage of cell `i`."""

    evaluations: list[Node]

    def levels(self) -> list[list[Node]]:
        """Nodes grouped so that each group needs earlier groups only, each as late as possible.

        As late as possible puts stages of like cost side by side: a fixed-length tokenizer trains
        beside the one that has to wait for a policy, not alone before it.
        """
        height: dict[int, int] = {}
        order = _topological(self.evaluations)
        for node in reversed(order):
            own = height.setdefault(id(node), 0)
            for need in node.needs:
                height[id(need)] = max(height.get(id(need), 0), own + 1)
        levels: list[list[Node]] = [[] for _ in range(max(height.values()) + 1)]
        for node in order:
            levels[len(levels) - 1 - height[id(node)]].append(node)
        return levels


def _topological(roots: Iterable[Node]) -> list[Node]:
    order: dict[int, Node] = {}

    def visit(node: Node) -> None:
        if id(node) not in order:
            for need in node.needs:
                visit(need)
            order[id(node)] = node

    for root in roots:
        visit(root)
    return list(order.values())


class _Builder:
    """Makes each distinct stage once."""

    def __init__(self, suite: Suite, name_folder: Callable[[str], str]):
        self.suite = suite
        self.nodes: dict[tuple[Any, ...], Node] = {}
        # Cells share their images and weights, which may take long to read.
        self.fingerprint = functools.cache(name_folder)
        self.file_sha256 = functools.cache(_file_sha256)

    def node(
        self,
        stage: str,
        config: dict[str, Any],
        *,
        inputs: dict[str, Node] | None = None,
        runtime: dict[str, Any] | None = None,
        budget_sources: tuple[Node, ...] = (),
    ) -> Node:
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
        data = cell.config.data
        config = {**_plain(data), "split": split}
        if not isinstance(data, ImageFolder):
            # The sizes of the other splits do not change this one.
            config["count"] = getattr(data, split)
            del config["train"], config["validation"], config["calibration"]
            return self.node("data", config)
        # The tree's content names the stages, not the path it happens to have here.
        runtime = {"path": config.pop("path")}
        content = {"fingerprint": self.fingerprint(data.path)}
        manifest = self.node("manifest", content, runtime=runtime)
        return self.node("data", config, inputs={"manifest": manifest}, runtime=runtime)

    def tokenizer(self, cell: Cell, evaluated: list[Node]) -> Node:
        """The training, and the fine-tuning that starts from it."""
        config, images = cell.config, self.data(cell, "train")
        sources = tuple(evaluated[index] for index in cell.sources)
        first = self.node(
            "tokenizer",
            {"tokenizer": _plain(config.tokenizer), "training": _plain(config.training)},
            inputs={"images": images},
            budget_sources=sources,
        )
        if config.finetuning is None:
            return first
        return self.node(
            "tokenizer",
            {
                "tokenizer": _plain(config.final_tokenizer),
                "training": _plain(config.finetuning.training),
                "trainable": config.finetuning.trainable,
            },
            inputs={"images": images, "start": first},
            budget_sources=sources,
        )

    def banks(self, cell: Cell, tokenizer: Node) -> Banks:
        """The banks that a cell may need, each made once: of validation, training, calibration."""
        bank = cell.config.bank
        common = {"batch": bank.batch, "shard": bank.shard, "budgets": _lists(bank.budgets)}
        weights = bank.inception_weights

        def of(split: str, config: dict[str, Any], runtime: dict[str, Any] | None = None) -> Node:
            inputs = {"images": self.data(cell, split), "tokenizer": tokenizer}
            return self.node("bank", common | config, inputs=inputs, runtime=runtime)

        perceptual = bank.extractor_resolution if bank.policy_perceptual else None
        policy = {"purpose": "policy", "extractor_resolution": perceptual}
        return Banks(
            validation=lambda: of(
                "validation",
                {
                    "purpose": "evaluation",
                    "own_targets": _lists(bank.own_targets),
                    "extractor_resolution": bank.extractor_resolution,
                    "second_extractor": bank.second_extractor,
                    "inception": self.inception(bank),
                },
                {"inception_weights": weights},
            ),
            training=lambda: of("train", policy | {"images": bank.policy_images}),
            calibration=lambda: of("calibration", policy | {"images": None}),
        )

    def policy(self, cell: Cell, tokenizer: Node, banks: Banks) -> Node:
        """The training of the policy, on the bank of the training images."""
        config = cell.config.policy
        inputs = {"bank": banks.training()}
        if config.input == "quantized":
            inputs["tokenizer"] = tokenizer
        if config.input == "pixels":
            inputs["images"] = self.data(cell, "train")
        if _has_calibration(cell.config) and isinstance(config.weighting, ConstraintWeighting):
            inputs["calibration"] = banks.calibration()
            if config.input == "pixels":
                inputs["calibration_images"] = self.data(cell, "calibration")
        return self.node("policy", _plain(config), inputs=inputs)

    def fitting(self, cell: Cell, banks: Banks) -> dict[str, Node]:
        """What allocators that are not trained are fitted on: their own or the controls'."""
        config = cell.config
        aside = _has_calibration(config)
        inputs = {}
        if config.fits_scores or (config.fits_threshold and not aside):
            inputs["training"] = banks.training()
        if (config.fits_scores or config.fits_threshold) and aside:
            inputs["calibration"] = banks.calibration()
        if config.fits_pixels:
            inputs["training_images"] = self.data(cell, "train")
            if aside:
                inputs["calibration_images"] = self.data(cell, "calibration")
        return inputs

    def evaluation(self, cell: Cell, evaluated: list[Node]) -> Node:
        config, tokenizer = cell.config, self.tokenizer(cell, evaluated)
        banks = self.banks(cell, tokenizer)
        images = self.data(cell, "validation")
        inputs = {
            "bank": banks.validation(),
            "tokenizer": tokenizer,
            "images": images,
            "png_sizes": self.node("png_sizes", {}, inputs={"images": images}),
        }
        settings = _plain(config.evaluation)
        if config.policy is not None:
            inputs["policy"] = self.policy(cell, tokenizer, banks)
        if config.allocator is not None:
            settings["allocator"] = _plain(config.allocator)
        if not config.allocates:
            del settings["heuristics"]  # a curve has no controls
        else:
            inputs |= self.fitting(cell, banks)
        weights = config.bank.inception_weights
        return self.node(
            "evaluation", settings, inputs=inputs, runtime={"inception_weights": weights}
        )

    def inception(self, bank: BankConfig) -> str | None:
        """SHA-256 of the weight file, if there is one."""
        path = bank.inception_weights
        if path is None:
            return None
        sha256 = self.file_sha256(path)
        if not sha256.startswith(bank.inception_sha256):
            raise UserError(
                f"bank.inception_sha256: the SHA-256 of {path} begins with {sha256[:8]}, not "
                f"{bank.inception_sha256}; give torch-fidelity's weight file, or null for no rFID"
            )
        return sha256


def _has_calibration(config: CellConfig) -> bool:
    """Whether images are set aside on which a mean budget is made to hold."""
    data = config.data
    return (data.calibration_fraction if isinstance(data, ImageFolder) else data.calibration) > 0


def build_graph(suite: Suite, *, name_folder: Callable[[str], str] | None = None) -> Graph:
    """All stages of a suite's cells, each once.

    `name_folder` gives the name of an image folder's content; by default its fingerprint, for which
    every file is read.

    Raises:
        UserError: a folder of images or a weight file that the suite names cannot be read, or the
            file is not the one it should be.
    """
    builder = _Builder(suite, name_folder or fingerprint)
    evaluated: list[Node] = []
    for cell in suite.cells:
        try:
            evaluated.append(builder.evaluation(cell, evaluated))
        except UserError as error:
            raise UserError(f"{suite.path}: arm '{cell.arm}': {error}") from None
    return Graph(evaluated)


def _file_sha256(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"bank.inception_weights: cannot read {path}: {error.strerror}; give the path of "
            "torch-fidelity's weight file, or null for no rFID"
        ) from None


def _plain(settings: Any) -> dict[str, Any]:
    """A dataclass as JSON-able values, tuples as lists."""
    return _lists(asdict(settings))


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    return value
