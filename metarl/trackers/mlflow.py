"""MLflow: a database in RUN/mlflow, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarl.files import inside
from metarl.trackers.tracker import About

FOLDER = "mlflow"
EXPERIMENT = "metarl"
MOST_LETTERS = 500
"""Of a parameter's value."""
AT_ONCE = 100
"""Parameters of one call."""


class MLflow:
    """Tracks a run with MLflow; without `MLFLOW_TRACKING_URI`, in the run's own folder."""

    def __init__(self, about: About) -> None:
        tracking: Any = importlib.import_module("mlflow.tracking")
        self._entities: Any = importlib.import_module("mlflow.entities")
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)  # a new database tells of each of its tables
        uri, artifacts = os.environ.get("MLFLOW_TRACKING_URI"), None
        if uri is None:
            folder = inside(about.directory.absolute(), FOLDER)
            folder.mkdir(exist_ok=True)
            uri, artifacts = f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()
        self._client = tracking.MlflowClient(uri)
        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT, artifacts)
        self._run = self._client.create_run(experiment, run_name=about.name).info.run_id
        params = [self._entities.Param(name, str(value)[:MOST_LETTERS]) for name, value in about.settings.items()]
        for start in range(0, len(params), AT_ONCE):
            self._client.log_batch(self._run, params=params[start : start + AT_ONCE])

    def scores(self, values: Mapping[str, float], *, step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def picture(self, name: str, path: Path) -> None:
        self._client.log_artifact(self._run, str(path))

    def film(self, name: str, path: Path) -> None:
        self._client.log_artifact(self._run, str(path))

    def close(self) -> None:
        self._client.set_terminated(self._run)
