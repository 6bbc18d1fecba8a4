"""Texts as vectors without a vocabulary: counts of words and letter n-grams, hashed (Weinberger et al. 2009).

scikit-learn's HashingVectorizer does the same with another hash (MurmurHash3 and not CRC-32), so other n-grams would
share a place: runs and classifiers that are stored would see other inputs, and records could not be repeated.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from metarl.errors import UserError

SparseRows = Any
"""A scipy.sparse.csr_array (n, D): scipy is not typed, and what pyright infers of it is wrong."""


def hash_texts(texts: Sequence[str], *, dimensions: int = 16_384) -> SparseRows:
    """(n, dimensions) of unit length: 1 + log(count) of each feature at the place that its CRC-32 gives.

    Sparse: CLINC150 at 16,384 places would take 1.5 GiB, of which a text has a hundred entries. Raises UserError naming
    an empty text.
    """
    places: list[int] = []
    values: list[float] = []
    ends = [0]
    for row, text in enumerate(texts):
        counts = Counter(zlib.crc32(feature.encode()) % dimensions for feature in _features(text))
        if not counts:
            raise UserError(f"text {row} ({text!r}) has no letters or digits; leave it out")
        places += counts.keys()
        values += (1 + np.log(list(counts.values()))).tolist()
        ends.append(len(places))
    rows = csr_array((np.array(values, np.float32), places, ends), shape=(len(texts), dimensions))
    return unit_rows(rows)


def unit_rows(rows: SparseRows) -> SparseRows:
    """Rows (n, D) divided by their lengths."""
    lengths = np.sqrt(rows.multiply(rows).sum(axis=1))
    return csr_array(rows.multiply(1 / lengths[:, None]), dtype=np.float32)


def plain_text(text: str) -> str:
    """A text as it is compared: its words, which are all that a net sees of it."""
    return " ".join(_words(text))


def _features(text: str) -> Iterator[str]:
    """Words, pairs of words, and n-grams of 3 to 5 letters within a word and its edges."""
    words = _words(text)
    for word in words:
        yield f"w {word}"
        marked = f"<{word}>"
        for n in (3, 4, 5):
            for start in range(len(marked) - n + 1):
                yield f"c {marked[start : start + n]}"
    for first, second in pairwise(words):
        yield f"p {first} {second}"


def _words(text: str) -> list[str]:
    """Letters, digits, the marks that stand on them and apostrophes, however the text writes them.

    One text is one sequence of code points (NFKC): "é" may come as one or as a letter and its accent, which is what
    macOS writes. Vowel signs of Hindi or Thai are marks, not letters, and must not end a word.
    """
    text = unicodedata.normalize("NFKC", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    kept = "".join(letter if _is_of_a_word(letter) else " " for letter in text if unicodedata.category(letter) != "Cf")
    return [word for word in (w.strip("'") for w in kept.split()) if word]


def _is_of_a_word(letter: str) -> bool:
    return letter.isalnum() or letter == "'" or unicodedata.category(letter).startswith("M")
