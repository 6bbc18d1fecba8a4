"""Images on a user's disk: a folder a class, and the layouts in which few-shot benchmarks are handed round.

folder          ROOT/{train,val,test}/CLASS/*.png or, with test_share, ROOT/CLASS/*.png
mini-ImageNet   ROOT/images/*.jpg with ROOT/{train,val,test}.csv of filename,label (Ravi and Larochelle 2017)
CIFAR-FS        ROOT/data/CLASS/*.png with ROOT/splits/bertinetto/{train,val,test}.txt (Bertinetto et al. 2019)
CUB             ROOT/images/CLASS/*.jpg with ROOT/split/{train,val,test}.json of {"label_names", ...} (Chen et al.
                2019), or with every second class in train, then val and test by turns, as that paper draws them

Images may have any of the endings in SUFFIXES. Grey images of 16 bits (depth cameras) are scaled to 8: 65,535 is white.
A photo is turned as its EXIF orientation says, and transparent parts are white.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from metarl.config import NAMES_FILES
from metarl.errors import UserError
from metarl.fewshot.data.class_episodes import ClassEpisodes, by_class
from metarl.fewshot.data.enough import Wanted, check_enough
from metarl.fewshot.data.repeats import first_of_each, warn_of_shared
from metarl.fewshot.data.source import SPLITS, EpisodeConfig, RawKind, Split
from metarl.fewshot.data.splits import ClassSplits, hold_out, plain_name, with_val
from metarl.validate import Bounds, Checked, Count, Natural, OpenShare, check_unused

Layout = Literal["folder", "mini-imagenet", "cifar-fs", "cub"]
MOST_NAMED = 10
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

Files = dict[Split, dict[str, list[Path]]]
"""Image files by split and class."""

PLACES: dict[Layout, str] = {
    "folder": "{split}",
    "mini-imagenet": "{split}.csv",
    "cifar-fs": "splits/bertinetto/{split}.txt",
    "cub": "split/{split}.json",
}
"""What names the classes of a split, below ROOT."""
REMEDIES: dict[Layout, str] = {
    "folder": "put the images of its classes into {split}/CLASS/, or give --test-share 0.3 where all classes lie "
    "directly below the root",
    "mini-imagenet": "it must have the columns filename and label, of the images in images/",
    "cifar-fs": "it must name the split's folders in data/",
    "cub": "it must name the split's folders in images/ under 'label_names'",
}


@dataclass(frozen=True, kw_only=True)
class ImageFolderConfig(Checked):
    """Settings of few-shot tasks from image files."""

    root: str = field(default="", metadata={NAMES_FILES: True})
    layout: Layout = "folder"
    size: Annotated[int, Bounds(least=8)] = 84
    """Images are scaled to so many pixels a side."""
    channels: Literal[1, 3] = 3
    test_share: OpenShare | None = None
    """Of classes directly below the root, held out by the seeded shuffle below; a root with train/ and test/ has its
    own split, and keeps it."""
    split_seed: Natural = 0
    rotations: bool = False
    test_queries: Count = 15

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout != "folder":
            check_unused(self, ("test_share", "split_seed"), why=f"layout {self.layout} has splits of its own")


def image_folder(
    config: ImageFolderConfig, episodes: EpisodeConfig, *, suites: Sequence[str] | None = None
) -> ClassEpisodes:
    """Reads every image once, as uint8. Raises UserError naming what is missing, unreadable or in two splits; with the
    `suites` that will be asked of it also all that the classes lack, at once."""
    root = Path(config.root)
    if not config.root or not root.is_dir():
        raise UserError(f"--root {config.root!r} is not a directory; give the folder that holds the images")
    wanted = Wanted(episodes, suites, config.test_queries) if suites is not None else None
    if config.test_share is None or {"train", "test"} <= set(_found(root, "folder")):
        files = _own_splits(root, config.layout)
        wanted = wanted and wanted._replace(held_out=files["test"].keys())
    else:
        classes = _by_plain_name(dict(image_classes(root)))
        wanted = wanted and wanted._replace(test_share=config.test_share, split_seed=config.split_seed)
        _look(_counts(classes), wanted, config)
        files = shuffled(classes, test_share=config.test_share, split_seed=config.split_seed, root=root)
    return _from_files(files, config, episodes, wanted)


def _own_splits(root: Path, layout: Layout) -> Files:
    files = READERS[layout](root)
    for split in ("train", "test"):
        if not files.get(split):
            raise UserError(_missing(root, layout, split))
    return {split: _by_plain_name(classes) for split, classes in files.items()}


def _look(sizes: Mapping[str, int], wanted: Wanted | None, config: ImageFolderConfig) -> None:
    if wanted is not None:
        check_enough(sizes, wanted, where=config.root)


def _counts(classes: Mapping[str, Sequence[object]]) -> dict[str, int]:
    return {name: len(found) for name, found in classes.items()}


def _by_plain_name(classes: Mapping[str, list[Path]]) -> dict[str, list[Path]]:
    """Folders whose names look alike are one class."""
    found: dict[str, list[Path]] = {}
    for name, paths in classes.items():
        found.setdefault(plain_name(name), []).extend(paths)
    return found


def shuffled(classes: Mapping[str, list[Path]], *, test_share: float, split_seed: int, root: Path) -> Files:
    """Classes in two splits."""
    names = sorted(classes)
    splits = hold_out(names, test_share=test_share, split_seed=split_seed, where=root)
    return {split: {names[c]: classes[names[c]] for c in numbers} for split, numbers in splits.items()}


def _missing(root: Path, layout: Layout, split: Split) -> str:
    """What the layout lacks, and how to fix it."""
    place = _place(root, layout, split)
    if place.exists():
        fault, others = f"{place} has no class", []
    else:
        fault = f"{root} has no {place.relative_to(root)}"
        others = [other for other in PLACES if split in _found(root, other)]
    remedy = f"give --layout {others[0]}" if others else REMEDIES[layout].format(split=split)
    return f"{fault}, where layout {layout} has the classes of its {split} split; {remedy}"


def _found(root: Path, layout: Layout) -> dict[Split, Path]:
    places: dict[Split, Path] = {split: _place(root, layout, split) for split in SPLITS}
    is_there = Path.is_dir if layout == "folder" else Path.is_file
    return {split: place for split, place in places.items() if is_there(place)}


def _place(root: Path, layout: Layout, split: Split) -> Path:
    return root / PLACES[layout].format(split=split)


def _from_files(
    files: Files, config: ImageFolderConfig, episodes: EpisodeConfig, wanted: Wanted | None
) -> ClassEpisodes:
    """Episodes of these images, each of which counts once in its class. Raises UserError."""
    is_disjoint = not files["train"].keys() & files["test"].keys()  # else that is what is told, below
    if is_disjoint:
        _look(_counts({**files["train"], **files["test"]}), wanted, config)  # before they are read for minutes
    files_of_all, labels, split_of = [], [], []
    for split, classes in files.items():
        for name, paths in classes.items():
            files_of_all += paths
            labels += [name] * len(paths)
            split_of += [split] * len(paths)
    rows = read_images(files_of_all, size=config.size, channels=config.channels)
    kept = first_of_each(rows, labels, what=config.root)
    data_set = by_class(rows[kept], np.asarray(labels)[kept], to_input=to_image)
    if is_disjoint:
        sizes = dict(zip(data_set.names, data_set.sizes.tolist(), strict=True))
        _look({name: sizes[name] for split in ("train", "test") for name in files[split]}, wanted, config)
    place = {name: i for i, name in enumerate(data_set.names)}
    splits: ClassSplits = {split: [place[name] for name in classes] for split, classes in files.items()}
    source = ClassEpisodes(
        data_set,
        with_val(splits, episodes.val_share),
        episodes,
        rotations=config.rotations,
        test_queries=config.test_queries,
        encoder=ImageEncoder(config.size, config.channels),
    )
    # after what is wrong with the classes
    warn_of_shared(rows[kept], np.asarray(split_of)[kept].tolist(), what=config.root)
    return source


@dataclass(frozen=True)
class ImageEncoder:
    """Image files as a folder's own are read: implements `Encoder`."""

    size: int
    channels: int

    kind: ClassVar[RawKind] = "images"

    def encode(self, raw: Sequence[str | Path]) -> NDArray[np.float32]:
        """(n, channels, size, size)."""
        return to_image(read_images([Path(path) for path in raw], size=self.size, channels=self.channels))


def read_images(paths: Sequence[Path], *, size: int, channels: int) -> NDArray[np.uint8]:
    """(n, channels, size, size). Raises UserError that names all files that are no images, the first of many."""
    images, faults = [], dict[Path, UserError]()
    for path in paths:
        try:
            images.append(read_image(path, size=size, channels=channels))
        except UserError as error:
            faults[path] = error
    if not faults:
        return np.stack(images)
    first, *others = faults
    if not others:
        raise faults[first]
    named = ", ".join(map(str, [first, *others][:MOST_NAMED])) + (", ..." if len(faults) > MOST_NAMED else "")
    raise UserError(f"{len(faults)} of {len(paths)} image files cannot be used: {named}; of the first: {faults[first]}")


def read_image(path: Path, *, size: int, channels: int) -> NDArray[np.uint8]:
    """(channels, size, size). Raises UserError for a file that is no image, or one of unknown range."""
    scaled = open_image(path, "RGB" if channels == 3 else "L").resize((size, size), Image.Resampling.LANCZOS)
    array = np.asarray(scaled, np.uint8)
    return array.transpose(2, 0, 1) if channels == 3 else array[None]


def open_image(path: Path, mode: Literal["RGB", "L"]) -> Image.Image:
    """In 8 bits, upright, on white. Raises UserError for a file that is no image, or one of unknown range."""
    try:
        with Image.open(path) as image:
            return _on_white(_eight_bits(_upright(image), path)).convert(mode)
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} has too many pixels ({error}); scale it down, or remove it") from error
    except Exception as error:  # Pillow's readers raise almost anything for a damaged file
        raise UserError(f"{path} cannot be read as an image ({error}); repair or remove it") from error


def _upright(image: Image.Image) -> Image.Image:
    """A phone stores what its sensor saw, and beside it (in EXIF) how the phone was held."""
    try:
        return ImageOps.exif_transpose(image)
    except SyntaxError:  # Pillow's for damaged EXIF, beside pixels that are whole
        return image


def _on_white(image: Image.Image) -> Image.Image:
    """`convert` drops transparency, and what lies behind it is black as a rule."""
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(layer.convert("RGB"), mask=layer.getchannel("A"))
    return white


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """Grey of 16 bits scaled by 1 / 257, which `convert` would cut off at 255; others as they are."""
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.round(np.asarray(image, np.float32) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UserError(
            f"{path} has pixels of 32 bits (mode {image.mode}), whose range is not known; save it with 8 or 16 bits"
        )
    return image


def to_image(rows: NDArray) -> NDArray[np.float32]:
    """0 to 255 -> [0, 1]; per-channel means and the like are left to the first normalisation layer."""
    return rows.astype(np.float32) / np.float32(255)


def read_folder(root: Path) -> Files:
    """The layout of folders: SPLIT/CLASS/*."""
    return {split: dict(image_classes(place)) for split, place in _found(root, "folder").items()}


def read_mini_imagenet(root: Path) -> Files:
    """mini-ImageNet's layout: images/ and a .csv for each split."""
    return {split: _from_csv(root, place) for split, place in _found(root, "mini-imagenet").items()}


def read_cifar_fs(root: Path) -> Files:
    """CIFAR-FS's layout: data/CLASS/* and a list of classes for each split."""
    return {split: _named(root / "data", _text(place).split()) for split, place in _found(root, "cifar-fs").items()}


def read_cub(root: Path) -> Files:
    """CUB's layout: images/CLASS/*, with lists of classes by split or every fourth class held out."""
    places = _found(root, "cub")
    if "train" in places:
        return {split: _named(root / "images", _label_names(place)) for split, place in places.items()}
    if not (root / "images").is_dir():
        raise UserError(f"{root} has no folder images; give the folder that holds images/CLASS/*.jpg as --root")
    names = [path.name for path in folders(root / "images")]
    if len(names) < 4:
        raise UserError(
            f"{root / 'images'} has too few class folders ({len(names)}), for every fourth is tested on; add some, or "
            "lists of the splits (split/train.json and split/test.json)"
        )
    turns: Mapping[Split, list[str]] = {"train": names[::2], "val": names[1::4], "test": names[3::4]}
    return {split: _named(root / "images", chosen) for split, chosen in turns.items()}


READERS = {
    "folder": read_folder,
    "mini-imagenet": read_mini_imagenet,
    "cifar-fs": read_cifar_fs,
    "cub": read_cub,
}


def image_classes(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Name and images of each folder in `folder`. Raises UserError for one without images."""
    for path in folders(folder):
        yield path.name, class_images(path)


def _named(folder: Path, names: list[str]) -> dict[str, list[Path]]:
    """Raises UserError naming a class without a folder or images."""
    for name in names:
        if not (folder / name).is_dir():
            raise UserError(f"class {name!r} has no images in {folder / name}; unpack them there")
    return {name: class_images(folder / name) for name in names}


def class_images(folder: Path) -> list[Path]:
    """Raises UserError where no image lies directly in the folder: a class would be missing without a word."""
    if nested := folders(folder):
        if not any(_is_image(path) for path in visible(folder)):
            raise UserError(
                f"class folder {folder} has no image directly in it, only folders such as {nested[0].name}; move the "
                "images up into it, or remove it"
            )
    if not (images := image_files(folder)):
        raise UserError(f"class folder {folder} is empty; put the images of the class there, or remove it")
    return images


def image_files(folder: Path) -> list[Path]:
    """Sorted. Raises UserError for a folder of files that are all of another kind."""
    files = [path for path in visible(folder) if path.is_file()]
    images = [path for path in files if _is_image(path)]
    if files and not images:
        raise UserError(
            f"{folder} holds {files[0].name} and no image of a kind that is read ({' '.join(SUFFIXES)}); convert them"
        )
    return images


def folders(folder: Path) -> list[Path]:
    """The visible folders in a folder, in order."""
    return [path for path in visible(folder) if path.is_dir()]


def visible(folder: Path) -> list[Path]:
    """Sorted, without what systems leave of their own: .ipynb_checkpoints, ._0.png beside 0.png, __MACOSX."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__MACOSX")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _from_csv(root: Path, path: Path) -> dict[str, list[Path]]:
    classes: dict[str, list[Path]] = {}
    rows = csv.DictReader(_text(path).splitlines())
    columns = sorted(rows.fieldnames or ())
    if not {"filename", "label"} <= set(columns):
        raise UserError(f"{path} has the columns {columns}, which must be filename and label; rename them")
    for row in rows:
        if not row["filename"] or not row["label"]:
            raise UserError(f"{path}, line {rows.line_num}, has no filename or no label; complete or remove it")
        image = root / "images" / row["filename"]
        if not image.is_file():
            raise UserError(f"{path} names {image}, which is not there; unpack the images into {root / 'images'}")
        classes.setdefault(row["label"], []).append(image)
    return classes


def _label_names(path: Path) -> list[str]:
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is no JSON ({error}); fix it or unpack it again") from error
    names = content.get("label_names") if isinstance(content, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path} has no list of names under 'label_names'; add it: the folders of the split's classes")
    return names


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # a spreadsheet's byte order mark is no part of the first column
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not in UTF-8 ({error}); save it as UTF-8") from error
