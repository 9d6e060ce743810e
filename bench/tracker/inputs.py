"""Image sets and models in MLflow: what went into a run, by digest, and what came out of it.

Both stay in the store; MLflow has their names, and where they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.store.store import Store
from bench.tracker.stages import StageRun, described, description

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

# Stages whose weights others load.
MODELS = ("tokenizer", "policy", "generator")


def make_model(
    client: MlflowClient,
    experiment: str,
    run_id: str,
    stage: StageRun,
    store: Store,
    settings: Mapping[str, str],
) -> str | None:
    """Make the LoggedModel of a stage whose weights lie in the store: its id, None of others."""
    if stage.stage not in MODELS or stage.began is None:
        return None
    from mlflow.entities import LoggedModelOutput

    model = client.create_logged_model(
        experiment,
        name=stage.name,
        source_run_id=run_id,
        # MLflow's own mark of models whose files it does not keep.
        tags={
            "mlflow.model.isExternal": "true",
            "stage_key": stage.key,
            "weights": str(store.artifact(stage.stage, stage.key)),
        },
        params={**settings, **{name: str(count) for name, count in stage.counts.items()}},
        model_type=stage.kind,
    )
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, _steps(stage))])
    return str(model.model_id)


def log_inputs(
    client: MlflowClient,
    run_id: str,
    *,
    sources: Sequence[str],
    models: Sequence[str],
    store: Store,
) -> None:
    """Log what went into a run: image sets by their keys, and models by their ids."""
    from mlflow.entities import LoggedModelInput

    found = [_dataset(key, store) for key in sources]
    datasets = [one for one in found if one is not None]
    if datasets or models:
        client.log_inputs(run_id, datasets, [LoggedModelInput(one) for one in models])


def _dataset(key: str, store: Store) -> DatasetInput | None:
    """The image set as `mlflow.data` describes one; its digest is the store's key."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    about = description(store, "data", key)
    if not about:
        return None
    stage = described(about)
    source = {"uri": store.artifact("data", key).as_uri()}
    dataset = Dataset(
        name=f"{stage.config.get('kind', 'images')}.{stage.config.get('split', 'all')}",
        digest=key,
        source_type="local",
        source=json.dumps(source),
        profile=json.dumps({**stage.counts, "resolution": stage.config.get("resolution")}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", stage.kind)])


def _steps(stage: StageRun) -> int:
    """Steps of a training, by its settings: a policy's are its own, all others have `training`."""
    return int(stage.config.get("training", stage.config).get("steps", 0))
