"""Omniglot: its splits, Lake's benchmark, and its two files built from zips (made-up ones; no network in tests)."""

import hashlib
import io
import json
import os
import urllib.error
import zipfile

import numpy as np
import pytest
from PIL import Image

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.data import download, omniglot_build
from metarl.fewshot.data.data_files import read_arrays
from metarl.fewshot.data.drawings import nearest_pixels
from metarl.fewshot.data.omniglot import OmniglotConfig, file_name, omniglot, read_omniglot
from metarl.fewshot.data.source import EpisodeConfig
from metarl.fewshot.evaluation import score_tasks
from metarl.fewshot.methods.nearest_centroid import NearestCentroidConfig
from metarl.fewshot.registry import METHODS
from metarl.seeding import numpy_rng, torch_rng

needs_data = pytest.mark.skipif(not os.environ.get("METARL_DATA"), reason="METARL_DATA is not set")


@needs_data
@pytest.mark.parametrize("size", [28, 105])
def test_images_are_ink_on_nothing(size):
    source = omniglot(OmniglotConfig(size=size), EpisodeConfig())
    (task,) = source.sample_tasks(1, rng=numpy_rng((0,)))
    x = source.task_data(task).query.x
    assert x.shape == (75, 1, size, size) and set(x.unique().tolist()) == {0.0, 1.0}
    assert 0.02 < float(x.mean()) < 0.3
    assert len(source.data_set.names) == 1623 and set(source.data_set.sizes) == {20}


@needs_data
@pytest.mark.parametrize("split, train, test", [("vinyals", 1200, 423), ("lake", 964, 659)])
def test_splits_have_the_published_sizes(split, train, test):
    source = omniglot(OmniglotConfig(split=split), EpisodeConfig())
    assert source.spec.train_classes == 4 * train
    tasks = source.test_tasks("20w1s", 200, rng=numpy_rng((0,)))
    assert len({c for task in tasks for c in task.params["classes"]}) <= 4 * test
    if split == "lake":  # no alphabet is in both
        held_out = {source.class_name(c).partition("/")[0] for task in tasks for c in task.params["classes"]}
        drawn = source.sample_tasks(200, rng=numpy_rng((1,)))
        assert len(held_out) == 20
        assert not held_out & {source.class_name(c).partition("/")[0] for t in drawn for c in t.params["classes"]}


@needs_data
def test_lakes_benchmark_is_within_an_alphabet_and_as_hard_as_published():
    """Nearest pixels by cosine name about a fifth; Koch reports 21.7 % for 1-nearest-neighbour."""
    source = omniglot(OmniglotConfig(split="lake", size=105), EpisodeConfig())
    tasks = source.test_tasks("lake", 1, rng=numpy_rng((0,)))
    assert len(tasks) == 20
    for task in tasks:
        assert len({source.class_name(c).partition("/")[0] for c in task.params["classes"]}) == 1
        assert all(s != q for s, q in zip(task.params["support"], task.params["query"], strict=True))
    learner = METHODS["nearest_centroid"].make(source.spec, torch_rng((0,)), config=NearestCentroidConfig())
    scores = score_tasks(learner.behaviour(), source, tasks, ["inductive"], seed=(0,)).scores
    assert 0.15 < scores.of("inductive", "accuracy")[-1].mean() < 0.30
    with pytest.raises(UserError, match="unknown suite 'lake'"):  # those characters are in both of Vinyals' splits
        omniglot(OmniglotConfig(), EpisodeConfig()).test_tasks("lake", 1, rng=numpy_rng((0,)))


@needs_data
def test_the_28_pixel_file_follows_from_the_105_pixel_one_and_the_packaged_index():
    large, small = read_omniglot(105), read_omniglot(28)
    images = np.unpackbits(large["images"], axis=-1, count=105 * 105).reshape(1623, 20, 105, 105)
    shrunk = np.packbits(nearest_pixels(images, 28).reshape(1623, 20, -1), axis=-1)
    assert np.array_equal(shrunk, small["images"])
    alphabets = large["alphabets"][large["alphabet_id"]]
    names = [
        (bool(b), str(a), int(c)) for b, a, c in zip(large["is_background"], alphabets, large["character"], strict=True)
    ]
    for name, array in omniglot_build.metadata(names, json.loads(omniglot_build.INDEX.read_text())).items():
        assert array.tobytes() == large[name].tobytes() == small[name].tobytes(), name  # their digests are checked


@needs_data
@pytest.mark.parametrize("name", ["vinyals_split", "oneshot_test", "alphabet_id"])
def test_another_split_or_benchmark_is_refused(name, tmp_path, monkeypatch):
    """With the drawers of oneshot_train in it, each query of Lake's runs would be its own support example."""
    arrays = read_omniglot(28)
    changed = arrays["oneshot_train"] if name == "oneshot_test" else arrays[name][::-1]
    np.savez(tmp_path / file_name(28), **{**arrays, name: changed})
    monkeypatch.setenv("METARL_DATA", str(tmp_path))
    with pytest.raises(UserError, match=f"{name} in .* has the SHA-256"):
        read_omniglot(28)


@needs_data
def test_averaged_images_are_the_means_over_parts_of_pixels():
    """28 pixels of 15 quarters each are 105 of 4."""
    episodes = EpisodeConfig(ways=5, shots=1, queries=3)
    large, grey = (
        omniglot(config, episodes) for config in (OmniglotConfig(size=105), OmniglotConfig(shrink="average"))
    )
    (task,) = large.sample_tasks(1, rng=numpy_rng((0,)))
    original, x = (source.task_data(task).query.x.squeeze(1).numpy() for source in (large, grey))
    assert x.shape == (15, 28, 28) and 0 <= x.min() and x.max() <= 1 + 1e-6
    quarters = np.kron(original, np.ones((1, 4, 4)))
    np.testing.assert_allclose(x, quarters.reshape(-1, 28, 15, 28, 15).mean((2, 4)), atol=1e-6)


@needs_data
def test_distorted_training_images_have_the_values_of_held_out_ones():
    for config in (OmniglotConfig(distort=True), OmniglotConfig(distort=True, shrink="average")):
        source = omniglot(config, EpisodeConfig())
        rng = numpy_rng((0,))
        (data,) = source.data(source.sample_tasks(1, rng=rng), rng=rng)
        grey = ((data.query.x > 0) & (data.query.x < 1)).float().mean()
        assert grey > 0.05 if config.shrink == "average" else grey == 0


def test_averaging_what_is_not_shrunk_is_refused():
    with pytest.raises(ValueError, match="shrink='average' has no effect on images of 105 pixels"):
        OmniglotConfig(size=105, shrink="average")


# ---- made-up zips


def make_zips(folder, *, drawers=20):
    """Two alphabets of two characters in each zip, in the layout of the official ones."""
    rng = np.random.default_rng(0)
    drawn = {}
    for zip_name, alphabets in {"images_background": ["Greek", "Arcadian"], "images_evaluation": ["Angelic"]}.items():
        with zipfile.ZipFile(folder / f"{zip_name}.zip", "w") as archive:
            for alphabet in alphabets:
                for number in (1, 2):
                    for drawer in range(1, drawers + 1):
                        ink = rng.random((105, 105)) < 0.1
                        drawn[alphabet, number, drawer] = ink
                        file = io.BytesIO()
                        Image.fromarray(~ink).save(file, "PNG")
                        name = f"{zip_name}/{alphabet}/character{number:02}/{number:04}_{drawer:02}.png"
                        archive.writestr(name, file.getvalue())
    return drawn


def packed(drawn):
    order = [("Arcadian", 1), ("Arcadian", 2), ("Greek", 1), ("Greek", 2), ("Angelic", 1), ("Angelic", 2)]
    images = np.stack([np.stack([drawn[a, n, d] for d in range(1, 21)]) for a, n in order])
    return np.packbits(images.reshape(6, 20, -1), axis=-1), images


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """The zips, with the checksums of the official files replaced by theirs."""
    source, target = tmp_path / "zips", tmp_path / "data"
    source.mkdir()
    target.mkdir()
    bits, images = packed(make_zips(source))
    small = images[..., ((np.arange(28) + 0.5) * 105 / 28).astype(int), :]
    small = small[..., ((np.arange(28) + 0.5) * 105 / 28).astype(int)]
    small_bits = np.packbits(small.reshape(6, 20, -1), axis=-1)
    monkeypatch.setattr(
        omniglot_build,
        "MD5",
        {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in sorted(source.glob("*.zip"))},
    )
    digests = {size: hashlib.sha256(b.tobytes()).hexdigest() for size, b in ((105, bits), (28, small_bits))}
    monkeypatch.setattr(omniglot_build, "SHA256", digests)
    monkeypatch.setenv("METARL_DATA", str(target))
    return source, target, bits


def test_both_files_are_built_from_the_zips(made_up, capsys):
    source, target, bits = made_up
    assert main(["data", "omniglot", "--from", str(source)]) == 0
    with np.load(target / file_name(105), allow_pickle=False) as archive:
        assert np.array_equal(archive["images"], bits)
        assert archive["alphabets"].tolist() == ["Arcadian", "Greek", "Angelic"]
        assert archive["is_background"].tolist() == [True] * 4 + [False] * 2
        assert archive["character"].tolist() == [1, 2] * 3
    assert sorted(p.name for p in target.iterdir()) == sorted([file_name(28), file_name(105)])
    assert file_name(28) in capsys.readouterr().out


def test_a_truncated_zip_is_refused(made_up, capsys):
    source, target, _ = made_up
    path = source / "images_background.zip"
    path.write_bytes(path.read_bytes()[:-1000])
    assert main(["data", "omniglot", "--from", str(source)]) == 2
    message = capsys.readouterr().err
    assert "images_background.zip" in message and "truncated" in message and "MD5" in message
    assert not list(target.iterdir())


def test_images_that_differ_are_refused(made_up, monkeypatch, capsys):
    source, target, _ = made_up
    monkeypatch.setattr(omniglot_build, "SHA256", {28: "0" * 64, 105: "0" * 64})
    assert main(["data", "omniglot", "--from", str(source)]) == 2
    assert "the zips are not the official ones" in capsys.readouterr().err and not list(target.iterdir())


def test_missing_zips_are_named(made_up, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["data", "omniglot", "--from", str(tmp_path / "empty")]) == 2
    assert "lacks images_background.zip and images_evaluation.zip" in capsys.readouterr().err


def test_without_network_it_says_what_to_put_where(made_up, monkeypatch, capsys):
    def no_network(*args, **options):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(download.urllib.request, "urlopen", no_network)
    assert main(["data", "omniglot"]) == 2
    message = capsys.readouterr().err
    assert "metarl data omniglot --from DIRECTORY" in message and "images_evaluation.zip" in message


def test_a_missing_drawing_is_refused(tmp_path):
    make_zips(tmp_path, drawers=19)
    zips = [tmp_path / "images_background.zip", tmp_path / "images_evaluation.zip"]
    with pytest.raises(UserError, match="Arcadian/01 has 19 drawings, expected 20"):
        omniglot_build.read_zips(zips, lambda done, total: None)


# ---- the file itself


def test_training_without_the_data_names_what_builds_it(monkeypatch, tmp_path, capsys):
    arguments = ["train", "omniglot_maml", "--out", str(tmp_path / "run")]
    monkeypatch.delenv("METARL_DATA", raising=False)
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "METARL_DATA is not set" in message and "metarl data omniglot" in message
    monkeypatch.setenv("METARL_DATA", str(tmp_path / "nowhere"))
    assert main(arguments) == 2
    assert "is not a directory" in capsys.readouterr().err
    monkeypatch.setenv("METARL_DATA", str(tmp_path))
    assert main(arguments) == 2
    assert "there is no omniglot_28x28_bits.npz" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["truncated", "changed", "array missing"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path, images = tmp_path / "x.npz", np.arange(1000, dtype=np.uint8)
    np.savez_compressed(path, **({"other": images} if damage == "array missing" else {"images": images}))
    expected = hashlib.sha256(images.tobytes()).hexdigest()
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "changed":
        expected = "0" * 64
    message = {"truncated": "truncated or damaged", "changed": "has the SHA-256", "array missing": "no array 'images'"}
    with pytest.raises(UserError, match=message[damage] + ".*build it again"):
        read_arrays(path, sha256={"images": expected}, remedy="build it again")
