"""Few-shot learning on plain arrays, in scikit-learn's words: fit on tasks, adapt to a support set, predict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import Tensor

from metarl.config import config_from_dict, config_to_dict
from metarl.errors import UserError, nearest
from metarl.fewshot.data.arrays import (
    ArrayTask,
    check_channels_first,
    inputs_of,
    labels_of,
    support_of,
    task_data,
    with_train_classes,
)
from metarl.fewshot.data.class_episodes import ROTATIONS, ClassEpisodes, by_class
from metarl.fewshot.data.source import DataSpec, Encoder, EpisodeConfig, EpisodeSource, HasEncoder
from metarl.fewshot.examples import Examples, Shape, check_examples, count_ways
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.learner import FewShotLearner, Mode
from metarl.fewshot.methods.metric import MetricBehaviour
from metarl.fewshot.methods.reptile import ReptileConfig
from metarl.fewshot.nets.net import Net
from metarl.fewshot.out_of_scope import confidence, threshold
from metarl.fewshot.registry import ENCODERS, METHODS
from metarl.runs.checkpoint import load_latest, save_checkpoint
from metarl.runs.load import open_run
from metarl.runs.trust import NO_TRUST, Trust
from metarl.seeding import Stream, numpy_rng, torch_rng
from metarl.types import Phi, TaskData

KIND = "few-shot classifier"
"""Of a stored state."""

Inputs = ArrayLike | Sequence[str | Path]
"""Arrays (N, C, H, W) or (N, D); of a run on texts or images also a list, array or Series of texts or image files."""


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """Any registered method on arrays.

    >>> classifier = FewShotClassifier(method="prototypical", seed=0).fit(tasks)
    >>> classifier.adapt(X_support, y_support).predict(X_query)
    """

    def __init__(
        self,
        *,
        method: str = "prototypical",
        config: Any = None,
        net: Net | None = None,
        epochs: int = 1,
        tasks_per_update: int = 1,
        seed: int = 0,
    ) -> None:
        """`config` is the method's dataclass (METHODS[method].config has the defaults), `net` one of your own.

        `fit` goes through its tasks `epochs` times in a seeded order, `tasks_per_update` of them a meta-update.
        """
        if method not in METHODS:
            raise UserError(f"unknown method {method!r}{nearest(method, METHODS)}; give one of {', '.join(METHODS)}")
        _check_whole(1, epochs=epochs, tasks_per_update=tasks_per_update)
        _check_whole(0, seed=seed)
        self.method, self.config, self.net = method, config, net
        self.epochs, self.tasks_per_update, self.seed = epochs, tasks_per_update, seed
        self.learner: FewShotLearner | None = None
        self._config: Any = None  # of the method, as it was fitted
        self.losses_: list[float] = []
        """What the method minimises, at each meta-update of the last `fit`; empty after `load` and `of_run`."""
        self.classes_: NDArray = np.zeros(0)
        self.threshold_: float | None = None
        self._phi: Phi = None
        self._spec: DataSpec | None = None
        self.encoder: Encoder | None = None
        """How texts, image files or a file's arrays become inputs, of a run on such data."""
        self._source: EpisodeSource | None = None

    @classmethod
    def of_run(
        cls, run_dir: Path | str, settings: Mapping[str, str] | None = None, *, trust: Trust = NO_TRUST
    ) -> FewShotClassifier:
        """The learner of a run of `metarl train`, ready for `adapt`.

        `settings` take the place of the run's own, as where its data are a file of
        your own, which is named again: {"data.file": "place.csv"} (or read at the run's word with
        `trust=Trust(stored=True)`).

        Of a run on texts or images, `adapt` and `predict` also take texts or paths of image files in place of arrays;
        of one on arrays, they take those as the run's file has them.
        Raises UserError for a run that has no classes.
        """
        run = open_run(Path(run_dir), list((settings or {}).items()), trust=trust)
        experiment = run.experiment
        experiment.close()
        if not isinstance(experiment, FewShotExperiment) or experiment.source.spec.regression:
            raise UserError(f"{run_dir} is a run of {run.name}, which has no classes; give one of few-shot classes")
        learner, source = experiment.learner, experiment.source
        classifier = cls(seed=run.config.trainer.seed)
        classifier.config = classifier._config = experiment.method_config
        same = (name for name, entry in METHODS.items() if type(entry.config) is type(classifier.config))
        classifier.method = next(same, run.name)
        classifier.learner, classifier._spec = learner, source.spec
        classifier.encoder = source.encoder if isinstance(source, HasEncoder) else None
        classifier._source = source
        return classifier

    def set_params(self, **settings: Any) -> FewShotClassifier:
        """For the next `fit`; what was fitted stays until then."""
        known = self.get_params()
        for name in settings:
            if name not in known:
                raise UserError(f"unknown setting {name!r}{nearest(name, known)}; give one of {', '.join(known)}")
        type(self)(**known | settings)  # checks them together
        return super().set_params(**settings)

    def fit(self, tasks: Iterable[ArrayTask]) -> FewShotClassifier:
        """Meta-train on tasks. Tasks of one meta-update must have equal sizes.

        Only the transfer baseline takes equal labels in two tasks for the same class.
        """
        if self.method not in METHODS:
            raise UserError(f"{self.method} has a method of its own, which is meta-trained by `metarl train` alone")
        data = [task_data(i, task) for i, task in enumerate(tasks)]
        if not data:
            raise UserError("fit was given 0 tasks; give at least one (X_support, y_support, X_query, y_query)")
        if self.net is None:
            check_channels_first(data[0].supports[0].x.shape, what="X_support of task 0")
        data = with_train_classes(data)
        spec = DataSpec(
            input_shape=tuple(data[0].supports[0].x.shape[1:]),
            outputs=max(count_ways(d.supports[0].y) for d in data),
            train_classes=len({c for d in data for c in d.task.params["train_classes"]}),
        )
        updates = self.epochs * -(-len(data) // self.tasks_per_update)
        config = _default_config(self.method, updates) if self.config is None else self.config
        learner = METHODS[self.method].make(spec, torch_rng((self.seed, Stream.INIT)), config=config, net=self.net)
        losses = []
        for epoch in range(self.epochs):
            order = numpy_rng((self.seed, Stream.TASKS, epoch)).permutation(len(data))
            for start in range(0, len(order), self.tasks_per_update):
                metrics = learner.meta_update([data[i] for i in order[start : start + self.tasks_per_update]])
                losses.append(metrics["meta_loss"])
        self.learner, self._config, self._spec, self.losses_ = learner, config, spec, losses
        self._phi, self.threshold_ = None, None
        return self

    def fit_threshold(self, tasks: Iterable[ArrayTask], *, accepted: float = 0.95) -> FewShotClassifier:
        """Set `threshold_` so that `accepted` of the queries of held-out tasks pass it.

        Give tasks of classes that `fit` has not seen, of the ways and shots to come: scores depend on them.
        """
        behaviour = self._fitted().behaviour()
        if not 0 < accepted < 1:
            raise UserError(f"accepted={accepted} must be > 0 and < 1; give the share of known queries that pass")
        inside = []
        for data in (task_data(i, task) for i, task in enumerate(tasks)):
            check_examples(data.query, input_shape=self._input_shape(), what=f"query set of {data.task.id}")
            support: Examples = data.supports[0]
            (scores,) = behaviour.predict(behaviour.adapt([behaviour.prior()], [support]), [data.query.x])
            inside.append(confidence(scores[:, : count_ways(support.y)]).numpy())
        if not inside:
            raise UserError("fit_threshold was given 0 tasks; give held-out ones, a few hundred queries together")
        self.threshold_ = threshold(np.concatenate(inside), accepted=accepted)
        return self

    def held_out_tasks(self, *, ways: int, shots: int, num_tasks: int = 100) -> Iterator[ArrayTask]:
        """Tasks of a run's held-out classes, for `fit_threshold`: their arrays are what the net takes.

        Raises UserError where there are too few classes.
        """
        if self._source is None:
            raise UserError("there is no run behind this classifier; draw held-out tasks with make_tasks(...)")
        source, rng = self._source, numpy_rng((self.seed, Stream.EVALUATE))
        tasks = source.test_tasks(f"{ways}w{shots}s", num_tasks, rng=rng)
        return (_arrays_of(source.data([task], rng=rng)[0]) for task in tasks)

    def encode(self, X: Inputs) -> ArrayLike:
        """Inputs (n, ...) as a run's data set makes them: of texts, of image files, or of arrays for a run on arrays.

        Else arrays are what the net takes, and stay as they are.
        """
        if isinstance(X, str | Path):
            raise UserError(f"{str(X)!r} is one example; give a list of them")
        items = X if isinstance(X, list | tuple) else _column(X)
        raw = [x for x in items if isinstance(x, str | Path)]
        if not raw and self.encoder is not None and self.encoder.kind == "arrays":
            return self.encoder.encode(np.asarray(X))
        if not raw:
            return cast(ArrayLike, X)
        if self.encoder is None or self.encoder.kind == "arrays":
            raise UserError(f"the classifier takes arrays, not {raw[0]!r}; use a run on texts or images for those")
        if len(raw) < len(items):
            raise UserError(f"{raw[0]!r} stands beside examples of another kind; give texts or image files alone")
        return self.encoder.encode(raw)

    def adapt(self, X_support: Inputs, y_support: ArrayLike) -> FewShotClassifier:
        """Take in a support set; its labels are those that `predict` answers with. Replaces an earlier one."""
        behaviour = self._fitted().behaviour()
        support, classes = support_of(self.encode(X_support), y_support)
        if self._phi is not None and len(classes) != len(self.classes_):
            self.threshold_ = None  # scores depend on the ways
        (self._phi,) = behaviour.adapt([behaviour.prior()], [support])
        self.classes_ = classes
        return self

    @property
    def phi_(self) -> Phi:
        """What the method made of the support set: fast weights, prototypes, ... by name."""
        if self._phi is None:
            raise UserError("there is no support set yet; call adapt(X_support, y_support) first")
        return self._phi

    def predict(self, X_query: Inputs, *, mode: Mode = "inductive", unknown: Any = None) -> NDArray:
        """The likeliest label of each query, (Q,); with `unknown`, that label where no class scores `threshold_`.

        `unknown` must be of the kind of the labels (-1 beside numbers, "unknown" beside text), and the mode inductive.
        """
        scores = self._scores(X_query, mode)
        labels = self.classes_[scores.argmax(1).numpy()]
        if unknown is None:
            return labels
        if self.threshold_ is None:
            raise UserError("there is no threshold for unknown classes yet; call fit_threshold(held_out_tasks) first")
        if mode != "inductive":  # for a stranger's own statistics must not help to know it
            raise UserError(f"mode={mode!r} has no threshold for unknown classes; use the inductive mode with unknown=")
        labels_of([*self.classes_.tolist(), unknown], what="support set and unknown=")
        if unknown in self.classes_.tolist():
            raise UserError(
                f"unknown={unknown!r} is one of the classes, so that it cannot mean none; give another label"
            )
        return np.where((confidence(scores) >= self.threshold_).numpy(), labels, unknown)

    def predict_proba(self, X_query: Inputs, *, mode: Mode = "inductive") -> NDArray[np.float64]:
        """Probabilities (Q, classes), columns in the order of `classes_`."""
        return self._scores(X_query, mode).double().softmax(-1).numpy()

    def scores(self, X_query: Inputs, *, mode: Mode = "inductive") -> NDArray[np.float32]:
        """Class scores (Q, classes) before the softmax, which hides how far a query is from all classes."""
        return self._scores(X_query, mode).numpy()

    def _scores(self, X_query: Inputs, mode: Mode) -> Tensor:
        behaviour = self._fitted().behaviour()
        queries: Any = X_query
        parts = [queries]
        if mode != "transductive" and not isinstance(queries, str | Path):  # where queries do not share statistics
            starts = range(0, len(queries), AT_ONCE)
            parts = [queries[start : start + AT_ONCE] for start in starts] if len(starts) > 1 else parts
        inputs = (self._inputs(part, "query set") for part in parts)
        try:
            scores = torch.cat([behaviour.predict([self.phi_], [x], mode=mode)[0] for x in inputs])
        except (KeyError, TypeError, AttributeError) as error:  # a phi that `load` found, and somebody else wrote
            raise UserError(f"the classifier's support set is damaged ({error!r:.200}); adapt it anew") from error
        return scores[:, : len(self.classes_)]

    def features(self, X: Inputs) -> NDArray[np.float32]:
        """Embeddings (N, D) by the net of a metric method. Raises UserError for a method without."""
        behaviour = self._fitted().behaviour()
        if not isinstance(behaviour, MetricBehaviour):
            raise UserError(f"method {self.method!r} has no embedding of its own; use a metric one, as prototypical")
        return behaviour.features(self._inputs(X, "inputs")).numpy()

    def score(self, X_query: Inputs, y_query: ArrayLike) -> float:
        """Accuracy in [0, 1]. Raises UserError for labels that are all strange to the support set."""
        labels, answers = labels_of(y_query, what="query set"), self.predict(X_query)
        if len(labels) != len(answers):
            raise UserError(
                f"the query set has {len(answers)} inputs and {len(labels)} labels; give one label for each input"
            )
        asked, known = labels.tolist(), self.classes_.tolist()
        if set(asked).isdisjoint(known):
            raise UserError(
                f"the query set has the label {asked[0]!r}, and none of the support set's, as {known[0]!r}; "
                "give the labels of the support set"
            )
        return float((answers == labels).mean())

    def _inputs(self, X: Inputs, what: str) -> Tensor:
        x = inputs_of(self.encode(X), what=what)
        check_examples(Examples(x, torch.zeros(len(x))), input_shape=self._input_shape(), what=what)
        return x

    def save(self, directory: Path | str) -> None:
        """Into a directory that `load` reads, with the support set's phi and the threshold if there are any.

        The data that it was meta-trained on are not needed any more. Raises UserError.
        """
        learner, spec = self._fitted(), self._spec
        if self.method not in METHODS or spec is None:
            raise UserError(f"{self.method} has a method of its own, which cannot be stored; keep the run")
        state = {
            "kind": KIND,
            "method": self.method,
            "config": config_to_dict(self._config),
            "seed": self.seed,
            "spec": {**vars(spec), "input_shape": list(spec.input_shape)},
            "learner": learner.state_dict(),
            "adapted": None if self._phi is None else {"phi": self._phi, "classes": self.classes_.tolist()},
            "threshold": self.threshold_,
            "encoder": None if self.encoder is None else _encoder_state(self.encoder),
        }
        save_checkpoint(Path(directory), 0, state, keep=1)

    @classmethod
    def load(cls, directory: Path | str, *, net: Net | None = None) -> FewShotClassifier:
        """What `save` wrote; executes no code. A classifier with a net of your own needs that net again."""
        found = load_latest(Path(directory))
        if found is None or found[0].get("kind") != KIND:
            raise UserError(f"{directory} holds no classifier; give a directory that `save` wrote")
        try:
            return cls._of_state(found[0], net)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{directory} holds a damaged classifier ({reason:.200}); save it again") from error

    @classmethod
    def _of_state(cls, state: Mapping[str, Any], net: Net | None) -> FewShotClassifier:
        entry = METHODS[state["method"]]
        config = config_from_dict(type(entry.config), state["config"])
        classifier = cls(method=state["method"], config=config, net=net, seed=state["seed"])
        spec = DataSpec(**{**state["spec"], "input_shape": tuple(state["spec"]["input_shape"])})
        learner = entry.make(spec, torch_rng((0, Stream.INIT)), config=config, net=net)
        learner.load_state_dict(state["learner"])
        classifier.learner, classifier._config, classifier._spec = learner, config, spec
        classifier.threshold_ = state["threshold"]
        if state["adapted"] is not None:
            classifier._phi, classifier.classes_ = state["adapted"]["phi"], np.array(state["adapted"]["classes"])
            if classifier.classes_.ndim != 1 or len(classifier.classes_) == 0 or classifier.classes_.dtype == object:
                raise ValueError("its classes are no list")
        if state["encoder"] is not None:
            classifier.encoder = _encoder_of(state["encoder"])
        return classifier

    def _input_shape(self) -> Shape:
        assert self._spec is not None  # there is a learner
        return self._spec.input_shape

    def _fitted(self) -> FewShotLearner:
        if self.learner is None:
            raise UserError("the classifier is not meta-trained; call fit(tasks) first")
        return self.learner


def _check_whole(least: int, **numbers: Any) -> None:
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise UserError(f"{name}={number!r} must be a whole number >= {least}; give one that is")


AT_ONCE = 512
"""Queries that are made inputs of together: of a text they are 16,384 numbers."""


def _default_config(method: str, updates: int) -> Any:
    """Reptile's meta_lr is for many tasks an update: with 1 and one task, theta would become that task's phi."""
    config = METHODS[method].config
    if isinstance(config, ReptileConfig):
        return dataclasses.replace(config, meta_lr=0.1, meta_lr_iterations=updates)
    return config


def _column(X: Any) -> list[Any]:
    """Items of an array or a pandas Series that may be texts; none of numbers, nor of more dimensions."""
    if isinstance(X, Tensor):
        return []
    array = np.asarray(X)
    return array.tolist() if array.ndim == 1 and array.dtype.kind in "OUT" else []


def _encoder_state(encoder: Encoder) -> dict[str, Any]:
    """Its class's name, and its fields with arrays as tensors."""
    fields = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in vars(encoder).items()
    }
    return {"name": type(encoder).__name__, "fields": fields}


def _encoder_of(state: dict[str, Any]) -> Encoder:
    fields = {name: value.numpy() if isinstance(value, Tensor) else value for name, value in state["fields"].items()}
    return ENCODERS[state["name"]](**fields)


def make_tasks(
    X: ArrayLike, y: ArrayLike, *, num_tasks: int, ways: int = 5, shots: int = 1, queries: int = 5, seed: int = 0
) -> list[ArrayTask]:
    """Few-shot tasks from labelled arrays; the labels in a task are those of y."""
    _check_whole(1, num_tasks=num_tasks)
    _check_whole(0, seed=seed)
    labels = labels_of(y, what="data set")
    data_set = by_class(inputs_of(X, what="data set").numpy(), labels)
    names = np.unique(labels)  # in the order of by_class, which keeps them as text
    episodes = EpisodeConfig(ways=ways, shots=shots, queries=queries)
    source = ClassEpisodes(data_set, {"train": range(len(data_set.names))}, episodes)
    rng = numpy_rng((seed, Stream.TASKS))
    tasks = []
    for task in source.sample_tasks(num_tasks, rng=rng):
        X_support, y_support, X_query, y_query = _arrays_of(source.task_data(task))
        own = names[np.array(task.params["classes"]) // ROTATIONS]
        tasks.append((X_support, own[y_support], X_query, own[y_query]))
    return tasks


def _arrays_of(data: TaskData) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    support, query = data.supports[0], data.query
    return support.x.numpy(), support.y.numpy(), query.x.numpy(), query.y.numpy()
