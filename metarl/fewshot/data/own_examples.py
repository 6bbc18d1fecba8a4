"""Examples of your own on a disk, for a trained run: texts in a CSV file, image files in folders, or arrays in .npz.

texts    FILE.csv with the columns text and label, or FILE.txt with a text a line, which has no labels
images   FOLDER/CLASS/*.png, or FOLDER/*.png or one file, which have no labels (endings: image_folder.SUFFIXES)
arrays   FILE.npz with X (n, ...) and, for labels, y (n,); a run on images takes its net's inputs in this way too
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.fewshot.data.arrays import labels_of
from metarl.fewshot.data.image_folder import SUFFIXES, image_classes, image_files
from metarl.fewshot.data.ngrams import plain_text
from metarl.fewshot.data.source import RawKind
from metarl.fewshot.data.splits import plain_name

FORMS = {
    "texts": "a .csv file with the columns text and label",
    "images": "a folder with a folder of images for each class",
    "arrays": "a .npz file with X (n, ...) and y (n,)",
}
"""Of labelled examples, by what a run's inputs are made of."""


@dataclass(frozen=True)
class OwnExamples:
    """A user's examples as they were read, before a net's encoder sees them."""

    raw: Sequence[Any] | NDArray
    """Texts, paths of image files, or an array (n, ...)."""
    names: list[str]
    """What a table calls each: the text itself, the file, or the number."""
    labels: list[Any] | None

    def found_among(self, others: OwnExamples) -> int:
        """How many of these are among the others, word for word, byte for byte or number for number."""
        known = set(map(_digest, others.raw))
        return sum(_digest(item) in known for item in self.raw)


def _digest(item: Any) -> bytes:
    if isinstance(item, Path):
        return hashlib.sha256(item.read_bytes()).digest()
    return hashlib.sha256(plain_text(item).encode() if isinstance(item, str) else np.asarray(item).tobytes()).digest()


def read_own(path: Path, kind: RawKind, *, need_labels: bool) -> OwnExamples:
    """Raises UserError naming the file, the line or the array that is not as the head of this file says."""
    if not path.exists():
        raise UserError(f"{path} is not there; give {FORMS[kind]}")
    if not (path.is_file() or path.is_dir()):
        raise UserError(f"{path} is no plain file or folder; give {FORMS[kind]}")  # a pipe would be waited for
    examples = {"texts": _texts, "images": _images, "arrays": _arrays}[kind](path)
    if need_labels and examples.labels is None:
        raise UserError(f"{path} has no labels; give {FORMS[kind]}")
    if len(examples.raw) == 0:
        raise UserError(f"{path} holds no example; give {FORMS[kind]}")
    return examples


def _texts(path: Path) -> OwnExamples:
    if path.is_dir() or path.suffix.lower() not in (".csv", ".txt"):
        raise UserError(f"{path} is neither .csv nor .txt; the run takes texts: give {FORMS['texts']}")
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not in UTF-8 ({error}); save it as UTF-8") from error
    if path.suffix.lower() == ".txt":
        texts = [line.strip() for line in content.splitlines() if line.strip()]
        return OwnExamples(texts, texts, None)
    try:
        return _table(path, csv.DictReader(io.StringIO(content, newline="")))  # a quoted text may have lines of its own
    except csv.Error as error:
        raise UserError(f"{path} is no table of comma-separated values ({error}); save it as CSV") from error


def _table(path: Path, rows: csv.DictReader) -> OwnExamples:
    columns: list[str] = list(rows.fieldnames or [])
    if columns.count("text") != 1 or columns.count("label") > 1:
        raise UserError(
            f"{path} has the columns {columns}, of which one must be text and at most one label; {_remedy(columns)}"
        )
    texts, labels = [], []
    for row in rows:
        if None in row:  # an unquoted comma in the text would make the rest of it a label
            raise UserError(
                f"{path}, line {rows.line_num}, has more than {len(columns)} columns; put quotes around a text with a "
                'comma, as in "stop, now",stop'
            )
        text, label = " ".join((row["text"] or "").split()), plain_name(row.get("label") or "")
        if not text or ("label" in columns and not label):
            raise UserError(f"{path}, line {rows.line_num}, has no text or no label; complete or remove it")
        texts.append(text)
        labels.append(label)
    return OwnExamples(texts, texts, labels if "label" in columns else None)


def _remedy(columns: Sequence[str]) -> str:
    separator = next((mark for mark in (";", "\t", "|") if columns and mark in columns[0]), None)
    if separator is None:
        return "name them so in the first line"
    return f"they are separated by {separator!r}: save the file with commas between them"


def _images(path: Path) -> OwnExamples:
    if path.suffix.lower() == ".npz":
        return _arrays(path)
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return OwnExamples([path], [path.name], None)
    if not path.is_dir():
        raise UserError(f"{path} is no folder; the run takes images: give {FORMS['images']}")
    if classes := dict(image_classes(path)):
        files = [file for images in classes.values() for file in images]
        labels = [plain_name(name) for name, images in classes.items() for _ in images]
    else:
        files, labels = image_files(path), None
    return OwnExamples(files, [str(file.relative_to(path)) for file in files], labels)


def _check_unpacked(path: Path) -> None:
    """Raises UserError for a small file that would fill the memory, whatever `zipfile` raises for none."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if unpacked > memory:
        raise UserError(
            f"{path} takes {unpacked / 2**30:,.0f} GiB when it is read, more than the {memory / 2**30:,.0f} GiB of "
            "memory here; store fewer examples"
        )


def _arrays(path: Path) -> OwnExamples:
    if path.suffix.lower() != ".npz":
        raise UserError(f"{path} is no .npz; the run takes arrays: give {FORMS['arrays']}")
    try:
        _check_unpacked(path)
        with np.load(path, allow_pickle=False) as archive:
            held = sorted(archive.files)
            found = {name: archive[name] for name in ("X", "y") if name in held}
    except UserError:
        raise
    except Exception as error:  # zipfile and NumPy raise almost anything for a file that somebody has made to
        raise UserError(f"{path} cannot be read ({error}); store numbers and texts alone with numpy.savez") from error
    arrays = {name: part for name, part in found.items() if isinstance(part, np.ndarray)}  # else a part's bytes
    if "X" not in arrays or arrays["X"].ndim < 2:
        raise UserError(f"{path} holds {held} and no X of the shape (n, ...); give {FORMS['arrays']}")
    X, y = arrays["X"], arrays.get("y")
    if y is not None and y.shape != (len(X),):
        raise UserError(f"{path} has y of the shape {y.shape} beside {len(X)} examples, which must be ({len(X)},)")
    labels = None if y is None or len(y) == 0 else labels_of(y, what=f"examples in {path}").tolist()
    labels = labels and [plain_name(label) if isinstance(label, str) else label for label in labels]
    return OwnExamples(X, [str(i) for i in range(len(X))], labels)
