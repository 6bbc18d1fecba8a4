"""Examples that stand twice, class names that look alike, and files made to do harm: in data of one's own."""

from __future__ import annotations

import unicodedata
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.data.arrays_file import ArraysConfig, arrays_file
from metarl.fewshot.data.image_folder import ImageFolderConfig, image_folder, open_image
from metarl.fewshot.data.intents import IntentsConfig, read_intents
from metarl.fewshot.data.own_examples import OwnExamples, read_own
from metarl.fewshot.data.source import EpisodeConfig

EPISODES = EpisodeConfig(ways=2, shots=1, queries=1)
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def save(path: Path, X: np.ndarray, y: object) -> ArraysConfig:
    np.savez(path, X=X, y=np.asarray(y))
    return ArraysConfig(file=str(path), test_queries=1, test_share=0.4)


def pictures(folder: Path, shades: list[int]) -> None:
    folder.mkdir(parents=True)
    for number, shade in enumerate(shades):
        Image.new("L", (8, 8), shade).save(folder / f"{number}.png")


def test_a_row_counts_once_within_its_class(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(48, 3))
    y = np.repeat([f"c{i:02d}" for i in range(12)], 4)
    config = save(tmp_path / "a.npz", np.repeat(X, 5, axis=0), np.repeat(y, 5))
    with pytest.warns(UserWarning, match="192 of 240 examples in .* repeat one of their class; each counts once"):
        source = arrays_file(config, EPISODES)
    assert source.data_set.sizes.tolist() == [4] * 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = arrays_file(save(tmp_path / "b.npz", X, y), EPISODES)
    np.testing.assert_array_equal(source.data_set.rows, plain.data_set.rows)


def test_a_class_that_is_a_copy_of_another_is_told(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(36, 3))
    y = np.repeat([f"c{i:02d}" for i in range(12)], 3)
    splits = arrays_file(save(tmp_path / "a.npz", X, y), EPISODES)
    test = min(splits.class_sizes("test"))
    train = min(splits.class_sizes("train"))
    X[y == test] = X[y == train]
    with pytest.warns(UserWarning, match="3 examples in .* stand in several classes, 3 of them in classes that are tr"):
        arrays_file(save(tmp_path / "a.npz", X, y), EPISODES)


def test_a_text_that_a_net_sees_as_another_counts_once_and_is_told_across_classes(tmp_path: Path) -> None:
    rows = [f"say {name} {number},{name}" for name in "abcdef" for number in range(4)]
    again = ["SAY  a 0!,a", *(f"say f {number},{name}" for name in "abcde" for number in range(4))]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows, *again]))
    config = IntentsConfig(file=str(tmp_path / "t.csv"), dimensions=64, min_examples=4)
    shared = pytest.warns(UserWarning, match="4 examples in .* stand in several classes, 4 of them in classes that are")
    with shared, pytest.warns(UserWarning, match="1 of 45 examples in .* repeat one of their class; each counts once"):
        assert read_intents(config).data_set.sizes.tolist() == [8, 8, 8, 8, 8, 4]


def test_queries_that_stand_among_the_examples_are_found_as_a_net_sees_them() -> None:
    shown = OwnExamples(["Open the door", "stop"], ["", ""], None)
    assert OwnExamples(["open the  DOOR!", "go", "stop."], ["", "", ""], None).found_among(shown) == 2


def test_a_class_of_one_picture_many_times_is_too_small(tmp_path: Path) -> None:
    for number, name in enumerate(["train/ant", "train/bee", "test/fox", "test/gnu"]):
        pictures(tmp_path / name, [60 * number] * 8 if name == "train/bee" else [60 * number + i for i in range(3)])
    small = pytest.raises(UserError, match="class 'bee' of the train split has 1")
    with small, pytest.warns(UserWarning, match="7 of 17 examples in .* repeat one of their class"):
        image_folder(ImageFolderConfig(root=str(tmp_path), size=8, channels=1, test_queries=1), EPISODES)


def test_names_that_look_alike_are_one_class(tmp_path: Path) -> None:
    for number, name in enumerate([f"train/{COMPOSED}", "train/bee", f"test/{DECOMPOSED}", "test/gnu"]):
        pictures(tmp_path / name, [60 * number + i for i in range(3)])
    with pytest.raises(UserError, match=f"class '{COMPOSED}' is in both train and test"):
        image_folder(ImageFolderConfig(root=str(tmp_path), size=8, channels=1, test_queries=1), EPISODES)
    y = [name for name in ("c0", "c0 ", COMPOSED, DECOMPOSED, "c1", "c2") for _ in range(2)]
    source = arrays_file(save(tmp_path / "a.npz", np.random.default_rng(0).normal(size=(12, 3)), y), EPISODES)
    assert source.data_set.names == ("c0", "c1", "c2", COMPOSED) and source.data_set.sizes.tolist() == [4, 2, 2, 4]
    (tmp_path / "t.csv").write_text(f"text,label\na,{COMPOSED}\nb, {DECOMPOSED} \n", encoding="utf-8")
    assert read_own(tmp_path / "t.csv", "texts", need_labels=True).labels == [COMPOSED] * 2


def test_names_that_look_alike_are_one_label_of_ones_own_examples(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.zeros((3, 2)), y=np.array(["c0", "c0 ", DECOMPOSED]))
    assert read_own(tmp_path / "a.npz", "arrays", need_labels=True).labels == ["c0", "c0", COMPOSED]
    pictures(tmp_path / "folder" / DECOMPOSED, [1])
    assert read_own(tmp_path / "folder", "images", need_labels=True).labels == [COMPOSED]


def test_names_that_differ_in_case_alone_are_told(tmp_path: Path) -> None:
    for number, name in enumerate(["train/dog", "train/bee", "test/Dog", "test/gnu"]):
        pictures(tmp_path / name, [60 * number + i for i in range(3)])
    with pytest.warns(UserWarning, match="classes 'dog' and 'Dog' differ in case alone, and count as two"):
        image_folder(ImageFolderConfig(root=str(tmp_path), size=8, channels=1, test_queries=1), EPISODES)


def test_booleans_are_numbers(tmp_path: Path) -> None:
    X = (np.arange(24)[:, None] >> np.arange(5)) & 1 == 1
    source = arrays_file(save(tmp_path / "a.npz", X, np.arange(24) // 2), EPISODES)
    assert np.isfinite(source.data_set.rows).all() and source.spec.input_shape == (5,)


def test_a_picture_of_too_many_pixels_is_named(tmp_path: Path) -> None:
    Image.new("1", (20_000, 10_000)).save(tmp_path / "large.png")
    with pytest.raises(UserError, match=r"large\.png has too many pixels .* scale it down, or remove it"):
        open_image(tmp_path / "large.png", "L")


def test_damaged_pictures_and_archives_end_in_sentences(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(tmp_path / "a.png")
    np.savez_compressed(tmp_path / "b.npz", X=rng.normal(size=(8, 3)), y=np.arange(8))
    whole = {path: path.read_bytes() for path in (tmp_path / "a.png", tmp_path / "b.npz")}
    refused = 0
    for _ in range(150):
        for path, data in whole.items():
            content = bytearray(data)
            for at in rng.integers(len(data), size=int(rng.integers(1, 6))):
                content[at] = int(rng.integers(256))
            path.write_bytes(content[: int(rng.integers(len(data) // 2, len(data) + 1))])
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    open_image(path, "RGB") if path.suffix == ".png" else read_own(path, "arrays", need_labels=True)
            except UserError as error:
                assert path.name in str(error)
                refused += 1
    assert refused > 100


@pytest.mark.parametrize(("name", "said"), [("X", "no X of the shape"), ("y", "has no labels")])
def test_a_part_of_an_archive_that_is_no_array_is_none(name: str, said: str, tmp_path: Path) -> None:
    arrays = {"X": np.zeros((2, 3)), "y": np.arange(2)}
    del arrays[name]
    np.savez(tmp_path / "a.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr(name, b"of another kind")
    with pytest.raises(UserError, match=f"a.npz .*{said}"):
        read_own(tmp_path / "a.npz", "arrays", need_labels=True)


def test_a_small_file_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path, monkeypatch, capsys) -> None:
    np.savez_compressed(tmp_path / "a.npz", X=np.zeros((1000, 1000)), y=np.arange(1000))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert sum(part.file_size for part in archive.infolist()) > 100 * (tmp_path / "a.npz").stat().st_size
    monkeypatch.setattr("os.sysconf", lambda name: 1000)
    assert main(["train", "arrays", "--file", str(tmp_path / "a.npz"), "--out", str(tmp_path / "run")]) == 2
    assert "of memory here; store fewer examples" in capsys.readouterr().err
