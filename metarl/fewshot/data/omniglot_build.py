"""Omniglot's two data files from the two official zips, checked at both ends.

The zips are checked by their MD5, the images made of them by the SHA-256 of their bits, so the numbers measured on the
files are numbers on these very images.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from metarl.errors import UserError
from metarl.fewshot.data.data_files import write_arrays
from metarl.fewshot.data.download import Progress, download
from metarl.fewshot.data.drawings import nearest_pixels
from metarl.fewshot.data.omniglot import DRAWERS, SHA256, file_name

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}
INDEX = Path(__file__).parent / "index" / "omniglot.json"
"""Splits that the zips lack: Vinyals' (as in github.com/jakesnell/prototypical-networks) and Lake's one-shot runs."""

_MEMBER = re.compile(r"images_(?:background|evaluation)/([^/]+)/character(\d+)/\d+_(\d\d)\.png")

REMEDY = (
    f"on a machine with network fetch {' and '.join(MD5)} from {URL}/, put both into one directory, and run "
    "`metarl data omniglot --from DIRECTORY`"
)


def fetch_zips(folder: Path, progress: Callable[[str], Progress]) -> list[Path]:
    """The two zips in `folder`, downloaded where they are missing; `progress(name)` is told how far one is.

    Raises UserError for a wrong checksum, or without network, saying what to put where.
    """
    paths = []
    for name, md5 in MD5.items():
        path = folder / name
        if not path.is_file():
            download(f"{URL}/{name}", path, progress(f"downloading {name}"), remedy=REMEDY)
        check_md5(path, md5)
        paths.append(path)
    return paths


def check_md5(path: Path, expected: str) -> None:
    """Raises UserError for a truncated or changed file."""
    data = path.read_bytes()
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != expected:
        raise UserError(
            f"{path} ({len(data):,} bytes) has the MD5 {found}, expected {expected}: it is truncated or another file; "
            "remove it and fetch it again"
        )


def build_omniglot(zips: list[Path], target: Path, progress: Progress) -> list[Path]:
    """Write the files of both sizes into `target`, each whole or not at all. Raises UserError if an image differs."""
    large, names = read_zips(zips, progress)
    index = json.loads(INDEX.read_bytes())
    written = []
    for size in (105, 28):
        # of 28 pixels those that the MAML and ProtoNet code trains on
        images = np.packbits(nearest_pixels(large, size).reshape(len(large), DRAWERS, -1), axis=-1)
        found = hashlib.sha256(images.tobytes()).hexdigest()
        if found != SHA256[size]:
            raise UserError(
                f"the {size}x{size} images have the SHA-256 {found[:16]}..., expected {SHA256[size][:16]}...: the zips "
                "are not the official ones; fetch them again"
            )
        written.append(write_arrays(target / file_name(size), {"images": images, **metadata(names, index)}))
    return written


def read_zips(zips: list[Path], progress: Progress) -> tuple[NDArray[np.uint8], list[tuple[bool, str, int]]]:
    """Images (characters, 20, 105, 105), ink = 1, and (is background, alphabet, number) of each character.

    Background alphabets come first, each set in the order of its names. Raises UserError for a damaged zip.
    """
    found: dict[tuple[bool, str, int], dict[int, NDArray[np.uint8]]] = {}
    try:
        members = [member for path in zips for member in _members(path)]
        for done, (is_evaluation, alphabet, number, drawer, data) in enumerate(members, start=1):
            with Image.open(io.BytesIO(data)) as image:
                ink = 1 - np.asarray(image.convert("1"), np.uint8)
            found.setdefault((is_evaluation, alphabet, number), {})[drawer] = ink
            progress(done, len(members))
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"a zip is damaged ({error}); fetch it again") from error
    ordered = sorted(found)
    for character in ordered:
        if sorted(found[character]) != list(range(1, DRAWERS + 1)):
            raise UserError(
                f"{character[1]}/{character[2]:02} has {len(found[character])} drawings, expected {DRAWERS}; the zips "
                "are not the official ones, fetch them again"
            )
    images = np.stack([np.stack([found[c][d] for d in range(1, DRAWERS + 1)]) for c in ordered])
    return images, [(not is_evaluation, alphabet, number) for is_evaluation, alphabet, number in ordered]


def metadata(names: list[tuple[bool, str, int]], index: dict[str, Any]) -> dict[str, NDArray]:
    """What the built file says of each character, by name."""
    alphabets = list(dict.fromkeys(alphabet for _, alphabet, _ in names))
    return {
        "alphabets": np.array(alphabets),
        "alphabet_id": np.array([alphabets.index(alphabet) for _, alphabet, _ in names], np.uint8),
        "character": np.array([number for _, _, number in names], np.uint8),
        "is_background": np.array([is_background for is_background, _, _ in names]),
        "vinyals_split": np.array([int(split) for split in index["vinyals_split"]], np.uint8),
        "oneshot_train": np.array(index["oneshot_train"], np.int16),
        "oneshot_test": np.array(index["oneshot_test"], np.int16),
    }


def _members(path: Path) -> Iterator[tuple[bool, str, int, int, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if match := _MEMBER.fullmatch(name):
                yield "evaluation" in name, match[1], int(match[2]), int(match[3]), archive.read(name)
