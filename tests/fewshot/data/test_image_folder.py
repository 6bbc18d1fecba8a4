"""Images on disk, in every layout, on made-up folders."""

import json
import zlib

import numpy as np
import pytest
from PIL import Image

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.data.image_folder import ImageFolderConfig, image_folder, read_image
from metarl.fewshot.data.source import EpisodeConfig
from metarl.seeding import numpy_rng

EPISODES = EpisodeConfig(ways=2, shots=1, queries=1)
CLASSES = {"train": ["ant", "bee", "cat"], "val": ["dog", "eel"], "test": ["fox", "gnu"]}
COLORS = {name: (30 * i, 255 - 30 * i, 128) for i, name in enumerate(n for names in CLASSES.values() for n in names)}


def draw(path, name):
    path.parent.mkdir(parents=True, exist_ok=True)
    image, number = Image.new("RGB", (20, 14), COLORS[name]), zlib.crc32("/".join(path.parts[-2:]).encode())
    image.putpixel((number % 20, number // 20 % 14), (255, number // 280 % 256, 128))  # no two are the same
    image.save(path)


def make(root, layout):
    for split, names in CLASSES.items():
        rows = []
        for name in names:
            for i in range(3):
                file = f"{name}{i}.png"
                draw(
                    {
                        "folder": root / split / name / file,
                        "mini-imagenet": root / "images" / file,
                        "cifar-fs": root / "data" / name / file,
                        "cub": root / "images" / name / file,
                    }[layout],
                    name,
                )
                rows.append(f"{file},{name}")
        if layout == "mini-imagenet":
            (root / f"{split}.csv").write_text("filename,label\n" + "\n".join(rows))
        elif layout == "cifar-fs":
            lists = root / "splits" / "bertinetto"
            lists.mkdir(parents=True, exist_ok=True)
            (lists / f"{split}.txt").write_text("\n".join(names))
        elif layout == "cub":
            (root / "split").mkdir(exist_ok=True)
            (root / "split" / f"{split}.json").write_text(json.dumps({"label_names": names}))
    return root


def load(root, layout="folder", **settings):
    config = ImageFolderConfig(root=str(root), layout=layout, size=16, test_queries=2, **settings)
    return image_folder(config, EPISODES)


@pytest.mark.parametrize("layout", ["folder", "mini-imagenet", "cifar-fs", "cub"])
def test_every_layout_gives_the_classes_of_its_splits(tmp_path, layout):
    source = load(make(tmp_path, layout), layout)
    assert source.spec.input_shape == (3, 16, 16) and source.spec.train_classes == 3
    for split, tasks in {
        "train": source.sample_tasks(20, rng=numpy_rng((0,))),
        "test": source.test_tasks("2w1s", 20, rng=numpy_rng((0,))),
    }.items():
        assert {source.class_name(c) for task in tasks for c in task.params["classes"]} == set(CLASSES[split])
        support = source.task_data(tasks[0]).supports[0]
        for label, class_id in enumerate(tasks[0].params["classes"]):
            expected = np.array(COLORS[source.class_name(class_id)]) / 255
            np.testing.assert_allclose(support.x[label].mean((1, 2)).numpy(), expected, atol=5e-3)


def test_cub_without_lists_takes_classes_by_turns(tmp_path):
    for i in range(8):
        for k in range(3):
            draw(tmp_path / "images" / f"{i:03}.bird" / f"{k}.png", "ant")
    source = load(tmp_path, "cub")
    assert source.spec.train_classes == 4
    tasks = source.test_tasks("2w1s", 10, rng=numpy_rng((0,)))
    assert {source.class_name(c) for t in tasks for c in t.params["classes"]} == {"003.bird", "007.bird"}


def test_grey_images_have_one_channel(tmp_path):
    assert load(make(tmp_path, "folder"), channels=1).spec.input_shape == (1, 16, 16)


@pytest.mark.parametrize(
    "break_it, message",
    [
        (lambda root: (root / "train" / "ant" / "ant0.png").write_bytes(b"no image"), "ant0.png cannot be read"),
        (lambda root: draw(root / "test" / "ant" / "x.png", "ant"), "class 'ant' is in both train and test"),
        (lambda root: [p.unlink() for p in (root / "train" / "bee").iterdir() if p.name != "bee0.png"], "class 'bee'"),
    ],
)
def test_a_broken_folder_is_named(tmp_path, break_it, message):
    break_it(make(tmp_path, "folder"))
    with pytest.raises(UserError, match=message):
        load(tmp_path)


def test_all_broken_images_are_named(tmp_path):
    root = make(tmp_path, "folder")
    for i in (1, 2):
        (root / "train" / "bee" / f"bee{i}.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"2 of 21 image files .*bee1.png, \S*bee2.png; of the first: .*bee1.png"):
        load(root)
    for path in root.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match="21 of 21 image files") as caught:
        load(root)
    assert str(caught.value).partition("; of the first")[0].count(".png") == 10


def test_missing_places_are_named(tmp_path):
    with pytest.raises(UserError, match="is not a directory; give the folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="--root '' is not a directory"):
        image_folder(ImageFolderConfig(), EPISODES)
    root = make(tmp_path, "mini-imagenet")
    (root / "images" / "bee1.png").unlink()
    with pytest.raises(UserError, match=r"bee1.png, which is not there"):
        load(root, "mini-imagenet")
    (root / "train.csv").write_text("file,class\na,b")
    with pytest.raises(UserError, match=r"columns \['class', 'file'\], which must be filename and label"):
        load(root, "mini-imagenet")


@pytest.mark.parametrize(
    "layout, taken, message",
    [
        ("folder", "train", r" has no train, where layout folder has .* its train split; put .* into train/CLASS/"),
        ("folder", "test", r" has no test, where .* put the images of its classes into test/CLASS/"),
        ("mini-imagenet", "train.csv", r" has no train\.csv, where .* must have the columns filename and label"),
        ("cifar-fs", "splits/bertinetto/test.txt", r"has no splits/bertinetto/test\.txt, .* folders in data/"),
        ("cub", "split/test.json", r" has no split/test\.json, where .* under 'label_names'"),
    ],
)
def test_what_a_layout_lacks_is_named_with_the_remedy(tmp_path, layout, taken, message):
    root = make(tmp_path, layout)
    (root / taken).rename(root / "elsewhere")
    with pytest.raises(UserError, match=message):
        load(root, layout)


def test_the_layout_that_is_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"has no splits/bertinetto/train\.txt.*; give --layout mini-imagenet"):
        load(make(tmp_path, "mini-imagenet"), "cifar-fs")


def make_flat(root, names):
    for name in names:
        for i in range(3):
            draw(root / name / f"{i}.png", "ant")
    draw(root / ".ipynb_checkpoints" / "0.png", "ant")
    return root


def test_classes_directly_below_the_root_are_split_by_a_seed(tmp_path):
    names = {f"c{i}" for i in range(10)}
    root = make_flat(tmp_path, names)
    with pytest.raises(UserError, match=r"has no train, .* or give --test-share 0\.3 where all classes lie directly"):
        load(root)
    source = load(root, test_share=0.3)
    test = set(source.class_sizes("test"))
    assert len(test) == 3 and set(source.class_sizes("train")) == names - test
    assert set(load(root, test_share=0.3).class_sizes("test")) == test
    assert len({frozenset(load(root, test_share=0.3, split_seed=i).class_sizes("test")) for i in range(5)}) > 1
    assert len(load(root, test_share=0.5).class_sizes("test")) == 5
    (root / "c3" / "0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"c3/0\.png cannot be read"):
        load(root, test_share=0.3)


def test_a_run_on_classes_below_the_root(tmp_path, capsys):
    root = make_flat(tmp_path / "photos", [f"c{i}" for i in range(7)])
    arguments = ["train", "images", "--root", str(root), "--size", "16", "--method", "nearest_centroid"]
    few = ["--iterations", "1", "--ways", "2", "--queries", "1", "--test-queries", "2", "--num-episodes", "2"]
    share = ["--test-share", "0.3", "--split-seed", "1"]
    assert main([*arguments, *few, *share, "--suites", "2w1s", "--out", str(tmp_path / "run")]) == 0
    assert main([*arguments, *few, *share, "--suites", "5w1s", "--out", str(tmp_path / "more")]) == 2
    assert "suite 5w1s takes 3 of 5, and 2 of at least 3 are held out" in capsys.readouterr().err


def test_a_root_with_a_split_keeps_it(tmp_path):
    source = load(make(tmp_path, "folder"), test_share=0.5)
    assert {split: set(source.class_sizes(split)) for split in CLASSES} == {
        s: set(names) for s, names in CLASSES.items()
    }


@pytest.mark.parametrize("count, share, left", [(4, 0.3, (3, 1)), (4, 0.9, (0, 4)), (3, 0.5, (1, 2)), (0, 0.5, (0, 0))])
def test_too_few_classes_to_split_are_told(tmp_path, count, share, left):
    root = make_flat(tmp_path, [f"c{i}" for i in range(count)])
    message = rf"of the {count} classes in .* leaves {left[0]} to train on and {left[1]} to test on, which must be >= 2"
    with pytest.raises(UserError, match=message):
        load(root, test_share=share)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_is_more_than_none_and_less_than_all(share):
    with pytest.raises(ValueError, match=rf"test_share={share} must be > 0 and < 1"):
        ImageFolderConfig(test_share=share)
    with pytest.raises(ValueError, match=r"test_share=0\.3 has no effect here, for layout cub has splits of its own"):
        ImageFolderConfig(test_share=0.3, layout="cub")


def test_a_split_without_a_class_is_named(tmp_path):
    root = make(tmp_path, "mini-imagenet")
    (root / "test.csv").write_text("filename,label\n")
    with pytest.raises(UserError, match=r"test\.csv has no class, where layout mini-imagenet has"):
        load(root, "mini-imagenet")
    (root / "images" / "one").mkdir()
    with pytest.raises(UserError, match=r"images has too few class folders \(1\), for every fourth is tested on"):
        load(root, "cub")


def test_a_list_that_names_a_class_without_images(tmp_path):
    root = make(tmp_path, "cifar-fs")
    (root / "splits" / "bertinetto" / "test.txt").write_text("fox\nyak")
    with pytest.raises(UserError, match="class 'yak' has no images"):
        load(root, "cifar-fs")


def test_a_palette_image_is_read(tmp_path):
    path = tmp_path / "p.png"
    Image.new("P", (9, 9)).save(path)
    assert read_image(path, size=8, channels=3).shape == (3, 8, 8)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.tile(values, (8, 1))).save(path)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_of_16_bits_keeps_its_range(tmp_path, suffix, channels):
    """257 of 65,535 are 1 of 255."""
    expected = np.array([0, 1, 2, 8, 64, 128, 200, 255], np.uint16)
    path = save(tmp_path / f"depth.{suffix}", expected * np.uint16(257))
    assert (read_image(path, size=8, channels=channels) == np.tile(expected, (channels, 8, 1))).all()


@pytest.mark.parametrize("kind, mode", [(np.float32, "F"), (np.int32, "I")])
def test_pixels_of_unknown_range_are_refused(tmp_path, kind, mode):
    path = save(tmp_path / "depth.tif", np.arange(8).astype(kind))
    with pytest.raises(UserError, match=rf"depth\.tif has pixels of 32 bits \(mode {mode}\), whose range is not known"):
        read_image(path, size=8, channels=1)


@pytest.mark.parametrize("suffix", ["tif", "tiff", "webp"])
def test_other_endings_are_read(tmp_path, suffix):
    root = make(tmp_path, "folder")
    for path in root.rglob("*.png"):
        Image.open(path).save(path.with_suffix(f".{suffix}"))
        path.unlink()
    assert load(root).spec.train_classes == 3


def test_a_class_of_unread_files_is_named(tmp_path):
    root = make(tmp_path, "folder")
    for path in (root / "train" / "bee").iterdir():
        path.rename(path.with_suffix(".gif"))
    with pytest.raises(UserError, match=r"bee holds bee0\.gif and no image of a kind that is read \(\.png"):
        load(root)


@pytest.mark.parametrize(
    "layout, place, content, message",
    [
        ("cub", "split/train.json", b'{"label_names": [', "train.json is no JSON .* fix it"),
        ("cub", "split/test.json", b'{"labels": []}', "test.json has no list of names under 'label_names'"),
        ("cub", "split/test.json", b"[1]", "test.json has no list of names under 'label_names'"),
        ("cub", "split/test.json", b'{"label_names": [1]}', "test.json has no list of names under 'label_names'"),
        ("mini-imagenet", "test.csv", "filename,label\nä.png,fox".encode("latin-1"), "test.csv is not in UTF-8"),
        ("mini-imagenet", "test.csv", b"filename,label\nfox0.png", "test.csv, line 2, has no filename or no label"),
        ("mini-imagenet", "test.csv", b"", r"test.csv has the columns \[\], which must be"),
        ("cifar-fs", "splits/bertinetto/test.txt", b"f\xfcchse", "test.txt is not in UTF-8"),
    ],
)
def test_broken_lists_are_named(tmp_path, layout, place, content, message):
    root = make(tmp_path, layout)
    (root / place).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(root, layout)


def test_a_spreadsheets_byte_order_mark_is_no_column(tmp_path):
    root = make(tmp_path, "mini-imagenet")
    (root / "train.csv").write_bytes(b"\xef\xbb\xbf" + (root / "train.csv").read_bytes())
    assert load(root, "mini-imagenet").spec.train_classes == 3


def test_cub_without_images_is_named(tmp_path):
    with pytest.raises(UserError, match="has no folder images; give the folder that holds images/CLASS"):
        load(tmp_path, "cub")


@pytest.mark.parametrize("layout", ["folder", "cub"])
def test_what_systems_leave_is_no_class_and_no_image(tmp_path, layout):
    root = make(tmp_path, layout)
    classes = root / "train" if layout == "folder" else root / "images"
    for hidden in (".ipynb_checkpoints", "__MACOSX"):
        draw(classes / hidden / "0.png", "ant")
    for name in CLASSES["train"]:
        (classes / name / "._0.png").write_bytes(b"Mac OS X resource fork")
        draw(classes / name / ".ipynb_checkpoints" / "0.png", "ant")
    (root / "split" / "train.json").unlink(missing_ok=True)  # CUB's classes by turns: all folders are listed
    source = load(root, layout)
    assert not {"__MACOSX", ".ipynb_checkpoints"} & set(source.data_set.names)
    assert set(source.data_set.sizes) == {3}


def test_a_class_folder_without_images_is_named(tmp_path):
    root = make(tmp_path, "folder")
    (root / "train" / "yak").mkdir()
    with pytest.raises(
        UserError, match=r"class folder .*train/yak is empty; put the images of the class there, or rem"
    ):
        load(root)
    draw(root / "train" / "yak" / "young" / "0.png", "ant")
    (root / "train" / "yak" / "readme.txt").touch()
    with pytest.raises(
        UserError, match="train/yak has no image directly in it, only folders such as young; move the i"
    ):
        load(root)
    draw(root / "train" / "yak" / "0.png", "ant")
    draw(root / "train" / "yak" / "1.png", "ant")
    assert "yak" in load(root).class_sizes("train")


def test_a_named_class_with_images_deeper_down_is_named(tmp_path):
    root = make(tmp_path, "cifar-fs")
    (root / "data" / "fox").rename(root / "data" / "old")
    (root / "data" / "fox").mkdir()
    (root / "data" / "old").rename(root / "data" / "fox" / "old")
    with pytest.raises(UserError, match="data/fox has no image directly in it, only folders such as old"):
        load(root, "cifar-fs")


# what the sensor stores of a picture that is dark above and light below, by how the phone was held
TURNED = {1: lambda x: x, 3: lambda x: np.rot90(x, 2), 6: lambda x: np.rot90(x), 8: lambda x: np.rot90(x, -1)}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind, suffix", [(np.uint8, "jpg"), (np.uint8, "png"), (np.uint16, "png"), (np.uint16, "tif")])
def test_a_photo_is_read_upright(tmp_path, orientation, kind, suffix):
    upright = np.zeros((16, 16), kind)
    upright[8:] = np.iinfo(kind).max
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(np.ascontiguousarray(TURNED[orientation](upright))).save(path, exif=exif)
    (read,) = read_image(path, size=16, channels=1)
    assert read[:8].max() < 5 and read[8:].min() > 250


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_damaged_exif_is_no_reason_to_stop(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    Image.new("L", (8, 8), 255).save(path, exif=b"no such thing")
    assert read_image(path, size=8, channels=1).min() == 255


def drawing(mode):
    """A black square on nothing, in each way in which Pillow stores nothing."""
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:6, 2:6] = 255
    if mode in ("RGBA", "LA"):
        image = Image.new(mode, (8, 8), 0)
        image.putalpha(Image.fromarray(alpha))
        return image, {}
    if mode == "P":  # black twice: colour 1 is drawn, colour 0 is nothing
        image = Image.fromarray(alpha // 255).convert("P")
        image.putpalette([0, 0, 0] * 256)
        return image, {"transparency": 0}
    image = Image.fromarray(np.where(alpha > 0, 0, 7).astype(np.uint8)).convert(mode)
    return image, {"transparency": 7 if mode == "L" else (7, 7, 7)}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_is_white(tmp_path, mode, channels):
    image, options = drawing(mode)
    image.save(tmp_path / "x.png", **options)
    expected = np.full((channels, 8, 8), 255)
    expected[:, 2:6, 2:6] = 0
    np.testing.assert_array_equal(read_image(tmp_path / "x.png", size=8, channels=channels), expected)


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")  # Pillow's, of the plain conversion
@pytest.mark.parametrize("mode, channels", [("RGBA", 3), ("RGBA", 1), ("LA", 1), ("P", 3), ("P", 1)])
def test_opaque_images_are_read_as_if_they_could_not_be_transparent(tmp_path, mode, channels):
    colours = numpy_rng((0,)).integers(256, size=(12, 12, 3)).astype(np.uint8)
    image = Image.fromarray(colours).convert({"LA": "L"}.get(mode, "RGB"))
    options = {}
    if mode == "P":
        image = image.quantize(200)
        options = {"transparency": 255}  # a colour that no pixel has
    else:
        image.putalpha(255)
    image.save(tmp_path / "x.png", **options)
    with Image.open(tmp_path / "x.png") as stored:
        plain = stored.convert("RGB" if channels == 3 else "L").resize((8, 8), Image.Resampling.LANCZOS)
    read = read_image(tmp_path / "x.png", size=8, channels=channels)
    np.testing.assert_array_equal(read, np.moveaxis(np.atleast_3d(plain), -1, 0))
