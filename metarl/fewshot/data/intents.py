"""Intents of spoken and written requests: CLINC150, Banking77, HWU64's commands to a home robot, or your own texts.

Meta-training and held-out tasks share no intent; where the data set names domains, they share no domain either, which
is harder: what an airport asks is no help at the bank.

Inputs are TF-IDF: n-grams that many requests have ("can you please") say little about an intent. How many have them is
counted over the training intents alone, so that nothing of a held-out intent is known before its support set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from metarl.config import NAMES_FILES
from metarl.errors import UserError
from metarl.fewshot.data.class_episodes import ClassData, ClassEpisodes, by_class
from metarl.fewshot.data.data_files import find_file, read_json
from metarl.fewshot.data.enough import Wanted, check_enough
from metarl.fewshot.data.ngrams import SparseRows, hash_texts, plain_text, unit_rows
from metarl.fewshot.data.own_examples import read_own
from metarl.fewshot.data.repeats import first_of_each, split_of_each, warn_of_shared
from metarl.fewshot.data.source import EpisodeConfig, RawKind
from metarl.fewshot.data.splits import ClassSplits, hold_out, with_val
from metarl.validate import Bounds, Checked, Count, Natural, OpenShare

IntentSet = Literal["clinc150", "banking77", "hwu64"]

SHA256: dict[IntentSet, str] = {
    "clinc150": "03070a7ba9ae035562bf0d6fc3299dd2d4d34329ae22b6f733bce7dce707bd65",
    "banking77": "5f1df0ed0bbb5900ba8ccde33a2fa7a449b9dc70e6887c8a49dab58d01a2e1a4",
    "hwu64": "80ee298f8d2987a65d61d65a4866ba77af33de354cabe52427063efd15675301",
}
"""Of the texts and labels (`digest`)."""
SPLITS: dict[IntentSet, tuple[str, ...]] = {
    "clinc150": ("oos_val", "val", "train", "oos_test", "test", "oos_train"),
    "banking77": ("train", "test"),
    "hwu64": ("train", "test"),
}
"""In the order in which examples are numbered."""
REMEDY = "`metarl data {name}` builds it from its authors' files"
"""CLINC150: Larson et al. 2019, CC BY 3.0; Banking77: Casanueva et al. 2020, CC BY 4.0; HWU64: Liu et al. 2019, CC BY
4.0."""

TEST_DOMAINS = ("travel", "work", "small_talk")
"""Of CLINC150's ten domains: 45 intents."""
OUT_OF_SCOPE = "oos"


@dataclass(frozen=True, kw_only=True)
class IntentsConfig(Checked):
    """Settings of few-shot tasks from texts with intents."""

    name: IntentSet = "clinc150"
    file: str = field(default="", metadata={NAMES_FILES: True})
    """A .csv of your own with the columns text and label, in place of the named set. Texts with the label `oos` are of
    no intent."""
    dimensions: Annotated[int, Bounds(least=16)] = 16_384
    """Of the hashed word and letter n-grams that a net sees."""
    weigh: bool = True
    """Weigh n-grams by their inverse document frequency in the training intents' texts (TF-IDF)."""
    test_share: OpenShare = 0.3
    """Of the intents, held out by the seeded shuffle below; CLINC150 holds out three whole domains instead."""
    split_seed: Natural = 0
    min_examples: Annotated[int, Bounds(least=2)] = 25
    """Intents with fewer utterances are left out."""
    test_queries: Count = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.file and self.name != "clinc150":
            raise UserError(f"the data are either the set {self.name} or those of --file {self.file}; give one")


@dataclass(frozen=True)
class IntentData:
    """A set of texts, read and encoded."""

    data_set: ClassData
    splits: ClassSplits
    out_of_scope: SparseRows
    """(n, dimensions) requests of no intent at all; only CLINC150 has them."""
    weights: NDArray[np.float32]
    """(dimensions,) of the n-grams; 1 where they are not weighed."""


@dataclass(frozen=True)
class TextEncoder:
    """One's own texts as a data set's examples are: implements `Encoder`."""

    weights: NDArray[np.float32]
    """(dimensions,) of the n-grams."""

    kind: ClassVar[RawKind] = "texts"

    def encode(self, raw: Sequence[str]) -> NDArray[np.float32]:
        """(n, dimensions)."""
        return weighed(hash_texts(raw, dimensions=len(self.weights)), self.weights).toarray()


class IntentEpisodes(ClassEpisodes):
    """Few-shot tasks of intents."""

    def __init__(self, data: IntentData, episodes: EpisodeConfig, *, test_queries: int) -> None:
        super().__init__(
            data.data_set, data.splits, episodes, test_queries=test_queries, encoder=TextEncoder(data.weights)
        )


class IntentEpisodesAndOthers(IntentEpisodes):
    """With requests of no intent beside them: implements `HasOutOfScope`."""

    def __init__(self, data: IntentData, episodes: EpisodeConfig, *, test_queries: int) -> None:
        super().__init__(data, episodes, test_queries=test_queries)
        self._out_of_scope = data.out_of_scope
        self.num_out_of_scope = data.out_of_scope.shape[0]

    def out_of_scope(self, numbers: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self._out_of_scope[numbers].toarray())


def read_intents(config: IntentsConfig, *, val_share: float = 0.0, wanted: Wanted | None = None) -> IntentData:
    """One's own file, or a set from METARL_DATA whose own splits are joined: here it is intents that are split.

    Raises UserError for a missing file, a wrong checksum, or fewer than two intents to train on or to test on; with
    what is `wanted` of a file of one's own also for all that its intents lack, at once.
    """
    pairs, domains = _own_pairs(Path(config.file)) if config.file else _published_pairs(config.name)
    outside = [text for text, label in pairs if label == OUT_OF_SCOPE]
    inside = [(text, label) for text, label in pairs if label != OUT_OF_SCOPE]
    labels = np.array([label for _, label in inside])
    names, counts = np.unique(labels, return_counts=True)
    if wanted is not None and config.file:
        by_size = dict(zip(names.tolist(), counts.tolist(), strict=True))
        frequent_ones = {name: size for name, size in by_size.items() if size >= config.min_examples}
        rare_ones = {name: size for name, size in by_size.items() if size < config.min_examples}
        check_enough(frequent_ones, wanted, where=config.file, left_out=rare_ones)
    if not (counts >= config.min_examples).any():
        raise UserError(
            f"none of the {len(names)} intents has min_examples={config.min_examples} texts, the most frequent has "
            f"{max(counts, default=0)}; give --min-examples a smaller number or add texts"
        )
    frequent = np.isin(labels, names[counts >= config.min_examples])
    texts = [text for (text, _), keep in zip(inside, frequent, strict=True) if keep]
    rows = hash_texts(texts, dimensions=config.dimensions)
    data_set = by_class(rows, labels[frequent], to_input=csr_array.toarray)
    splits = with_val(_splits(data_set.names, domains, config), val_share)
    if config.file:
        split_of = split_of_each(labels[frequent].tolist(), data_set.names, splits)
        warn_of_shared(_compared(texts), split_of, what=config.file)
    weights = np.ones(config.dimensions, np.float32)
    if config.weigh:
        weights = inverse_document_frequency(data_set.rows[_rows_of(data_set, splits["train"])])
    return IntentData(
        replace(data_set, rows=weighed(data_set.rows, weights)),
        splits,
        weighed(hash_texts(outside, dimensions=config.dimensions), weights),
        weights,
    )


def _published_pairs(name: IntentSet) -> tuple[list[tuple[str, str]], dict[str, list[str]] | None]:
    """Texts with their labels, and the intents of each domain where the set names domains."""
    remedy = REMEDY.format(name=name)
    path = find_file(f"{name}.json.gz", remedy=remedy)
    content = read_json(path, remedy=remedy)
    if (found := digest(content)) != SHA256[name]:
        raise UserError(
            f"the texts in {path} have the SHA-256 {found[:16]}..., expected {SHA256[name][:16]}...: they are "
            f"not those that results were measured on; {remedy}"
        )
    return [(text, label) for split in content["splits"].values() for text, label in split], content.get("domains")


def _own_pairs(path: Path) -> tuple[list[tuple[str, str]], None]:
    own = read_own(path, "texts", need_labels=True)
    labels = own.labels or []
    kept = first_of_each(_compared(own.raw), labels, what=str(path))
    return [pair for pair, counts in zip(zip(own.raw, labels, strict=True), kept, strict=True) if counts], None


def _compared(texts: Sequence[Any] | NDArray) -> NDArray:
    return np.array([plain_text(text) for text in texts], object)


def digest(content: Any) -> str:
    """SHA-256 of all texts and labels in their order, and of the domains."""
    kept = [content.get("domains"), content["splits"]]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def inverse_document_frequency(rows: NDArray | SparseRows) -> NDArray[np.float32]:
    """log((1 + n) / (1 + rows that have it)) + 1 of each column: rows (n, D) -> (D,).

    Both counts are smoothed by one row that has everything (scikit-learn's TfidfTransformer): what no row has is
    weighed most, and nothing is weighed by 0.
    """
    return (np.log((1 + rows.shape[0]) / (1 + np.asarray((rows != 0).sum(axis=0)))) + 1).astype(np.float32)


def weighed(rows: SparseRows, weights: NDArray[np.float32]) -> SparseRows:
    """Rows (n, D) times weights (D,), of unit length again."""
    return unit_rows(csr_array(rows.multiply(weights)))


def intents(config: IntentsConfig, episodes: EpisodeConfig, *, suites: Sequence[str] | None = None) -> ClassEpisodes:
    """With the `suites` that will be asked of a file of one's own, a look at all that it lacks for them."""
    wanted = None
    if suites is not None:
        wanted = Wanted(episodes, suites, config.test_queries, config.test_share, config.split_seed)
    data = read_intents(config, val_share=episodes.val_share, wanted=wanted)
    source = IntentEpisodesAndOthers if data.out_of_scope.shape[0] else IntentEpisodes
    return source(data, episodes, test_queries=config.test_queries)


def _rows_of(data_set: ClassData, classes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([np.arange(data_set.starts[c], data_set.starts[c + 1]) for c in classes])


def _splits(names: tuple[str, ...], domains: dict[str, list[str]] | None, config: IntentsConfig) -> ClassSplits:
    if domains:
        held_out = {intent for domain in TEST_DOMAINS for intent in domains[domain]}
        test = [i for i, name in enumerate(names) if name in held_out]
        return {"train": [i for i in range(len(names)) if i not in set(test)], "test": test}
    where = config.file or config.name
    return hold_out(names, test_share=config.test_share, split_seed=config.split_seed, where=where)
