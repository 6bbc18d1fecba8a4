"""The intents' data files from what their authors publish, checked by the digest of all texts and labels.

clinc150    data/data_full.json and data/domains.json of github.com/clinc/oos-eval
banking77   banking_data/train.csv and test.csv of github.com/PolyAI-LDN/task-specific-datasets
hwu64       the first fold of github.com/xliuhw/NLU-Evaluation-Data, a csv file an intent: clone it
"""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from metarl.errors import UserError
from metarl.fewshot.data.data_files import write_file
from metarl.fewshot.data.download import Progress, download
from metarl.fewshot.data.intents import SHA256, SPLITS, IntentSet, digest

CLINC = "https://raw.githubusercontent.com/clinc/oos-eval/828f8093932c8fe6ca7936c3d2e52903b1c523de/data"
BANKING = "https://raw.githubusercontent.com/PolyAI-LDN/task-specific-datasets/master/banking_data"
HWU = "https://github.com/xliuhw/NLU-Evaluation-Data"
FILES: dict[IntentSet, dict[str, str]] = {
    "clinc150": {name: f"{CLINC}/{name}" for name in ("data_full.json", "domains.json")},
    "banking77": {name: f"{BANKING}/{name}" for name in ("train.csv", "test.csv")},
}
"""Names and addresses; HWU64 has 128 files."""
FOLD = "KFold_1"
FOLDERS = {"train": "trainset", "test": "testset/csv"}
"""Of HWU64's splits below the fold."""


def build_intents(name: IntentSet, source: Path | None, target: Path, progress: Callable[[str], Progress]) -> Path:
    """Writes NAME.json.gz into `target` from the files in `source`, or from the network.

    Raises UserError for missing or unreadable files, and for other contents than results were measured on.
    """
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            _fetch(name, Path(folder), progress)
            return build_intents(name, Path(folder), target, progress)
    try:
        content = READERS[name](source)
    except (csv.Error, KeyError, TypeError, ValueError) as error:  # ValueError: no JSON, or not in UTF-8
        raise UserError(
            f"the files of {name} in {source} are truncated or others ({error}); fetch them again"
        ) from error
    if (found := digest(content)) != SHA256[name]:
        texts = sum(map(len, content["splits"].values()))
        raise UserError(
            f"the {texts:,} texts in {source} have the SHA-256 {found[:16]}..., expected {SHA256[name][:16]}...: they "
            "are not those that results were measured on; take those that metarl/fewshot/data/intents_build.py names"
        )
    return write_file(target / f"{name}.json.gz", gzip.compress(json.dumps(content).encode(), mtime=0))


def _fetch(name: IntentSet, folder: Path, progress: Callable[[str], Progress]) -> None:
    if name not in FILES:
        raise UserError(
            f"{name} is 128 files; run `git clone {HWU}`, then `metarl data {name} --from NLU-Evaluation-Data`"
        )
    remedy = (
        f"on a machine with network fetch {' and '.join(FILES[name].values())}, put both into one directory, and run "
        f"`metarl data {name} --from DIRECTORY`"
    )
    for file, url in FILES[name].items():
        download(url, folder / file, progress(f"downloading {file}"), remedy=remedy)


def read_clinc150(source: Path) -> dict[str, Any]:
    """CLINC150's splits and domains from its published files."""
    splits, domains = (json.loads(_find(source, name).read_text("utf-8")) for name in FILES["clinc150"])
    return {"domains": domains, "splits": {split: splits[split] for split in SPLITS["clinc150"]}}


def read_banking77(source: Path) -> dict[str, Any]:
    """BANKING77's splits from its published files."""
    pairs = {name: _columns(_find(source, name), ("text", "category")) for name in FILES["banking77"]}
    return {"splits": {split: list(pairs[f"{split}.csv"]) for split in SPLITS["banking77"]}}


def read_hwu64(source: Path) -> dict[str, Any]:
    """The text without its annotations, and the scenario and the intent as the label: alarm_query."""
    folds = sorted(path for path in source.rglob(FOLD) if (path / FOLDERS["test"]).is_dir())
    if not folds:
        raise UserError(f"{source} has no {FOLD}/{FOLDERS['test']}; give a clone of {HWU}")
    splits = {}
    for split in SPLITS["hwu64"]:
        pairs = splits[split] = []
        for path in sorted((folds[0] / FOLDERS[split]).glob("*.csv")):
            rows = _columns(path, ("answer_from_anno", "scenario", "intent"), delimiter=";")
            pairs += [[text, f"{scenario}_{intent}"] for text, scenario, intent in rows]
    return {"splits": splits}


READERS = {"clinc150": read_clinc150, "banking77": read_banking77, "hwu64": read_hwu64}


def _find(source: Path, name: str) -> Path:
    """In the directory or, as in a clone, anywhere below it. Raises UserError."""
    found = [source / name] if (source / name).is_file() else sorted(source.rglob(name))
    if len(found) != 1:
        raise UserError(f"{source} has {len(found) or 'no'} {name}; put the one that is meant there")
    return found[0]


def _columns(path: Path, names: tuple[str, ...], *, delimiter: str = ",") -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter=delimiter):
            yield [row[name] for name in names]
