"""A trained run on a user's own examples: texts, images and arrays, in Python and from the command line."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.classifier import FewShotClassifier, make_tasks
from metarl.fewshot.data.image_folder import read_image, to_image
from metarl.fewshot.data.intents import IntentsConfig, read_intents
from metarl.fewshot.data.own_examples import read_own
from metarl.fewshot.data.robot_failures import ForceEncoder, compress
from metarl.runs.trust import Trust
from metarl.seeding import numpy_rng
from tests.fewshot.data.test_texts import write_intents

EXAMPLES = {
    "light": ["turn on the light", "put the lamp on"],
    "stop": ["stop right now", "do not move"],
    "fetch": ["bring me the cup", "fetch the bottle"],
}


def write_csv(path: Path, rows: list[tuple[str, ...]], head: tuple[str, ...] = ("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def answers_in(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture
def texts_run(tmp_path, monkeypatch) -> Path:
    pairs = [[f"word{i} thing{k} of kind{i}", f"intent{i}"] for i in range(12) for k in range(8)]
    write_intents(tmp_path, "hwu64", {"splits": {"train": pairs}}, monkeypatch)
    out = tmp_path / "run"
    arguments = ["--data.name", "hwu64", "--dimensions", "512", "--min-examples", "5", "--test-queries", "2"]
    episodes = ["--ways", "3", "--max-shots", "2", "--queries", "2", "--suites", "3w1s", "--num-episodes", "4"]
    net = ["--methods.prototypical.net.projection", "16", "--iterations", "3"]
    assert main(["train", "intents", "--out", str(out), *arguments, *episodes, *net]) == 0
    return out


@pytest.fixture
def own_texts(tmp_path) -> Path:
    return write_csv(tmp_path / "mine.csv", [(text, label) for label, texts in EXAMPLES.items() for text in texts])


def test_own_texts_are_named_and_counted(texts_run, own_texts, tmp_path, capsys):
    asked = write_csv(tmp_path / "asked.csv", [("stop please", "stop"), ("the light please", "fetch")])
    out = tmp_path / "answers.csv"
    arguments = ["classify", str(texts_run), "bring a bottle", "--examples", str(own_texts)]
    assert main([*arguments, "--queries", str(asked), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "3 classes, prototypical" in printed and "1 of 2 right, 50.0%" in printed
    rows = answers_in(out)
    assert [(row["query"], row["answer"], row["label"]) for row in rows] == [
        ("bring a bottle", "fetch", ""),
        ("stop please", "stop", "stop"),
        ("the light please", "light", "fetch"),
    ]
    classifier = FewShotClassifier.of_run(texts_run)
    examples = read_own(own_texts, "texts", need_labels=True)
    classifier.adapt(list(examples.raw), examples.labels)
    probabilities = classifier.predict_proba(["bring a bottle", "stop please", "the light please"]).max(1)
    assert [float(row["probability"]) for row in rows] == pytest.approx(probabilities.tolist(), abs=1e-4)


def test_queries_that_were_shown_are_told(texts_run, own_texts, tmp_path, capsys):
    """All six of the file itself are right, of any method."""
    arguments = ["classify", str(texts_run), "--examples", str(own_texts), "--queries"]
    assert main([*arguments, str(own_texts)]) == 0
    assert "6 of the 6 --queries stand among --examples" in capsys.readouterr().err
    assert main([*arguments, str(write_csv(tmp_path / "asked.csv", [("stop please", "stop")]))]) == 0
    assert "stand among" not in capsys.readouterr().err


def test_pictures_and_rows_that_were_shown_are_found_among_others(tmp_path):
    for folder, shades in (("shown", (10, 20)), ("asked", (20, 30))):
        (tmp_path / folder / "a").mkdir(parents=True)
        for shade in shades:
            Image.new("L", (8, 8), shade).save(tmp_path / folder / "a" / f"{folder}{shade}.png")
        np.savez(tmp_path / f"{folder}.npz", X=np.array([[shade, 1.0] for shade in shades]))
    for kind, ending in (("images", ""), ("arrays", ".npz")):
        shown, asked = (read_own(tmp_path / f"{name}{ending}", kind, need_labels=False) for name in ("shown", "asked"))
        assert asked.found_among(shown) == 1 and shown.found_among(shown) == 2


def test_a_text_is_encoded_as_the_runs_own_are_and_arrays_are_left_alone(texts_run):
    classifier = FewShotClassifier.of_run(texts_run)
    inputs = np.asarray(classifier.encode(["word3 thing0 of kind3"]))
    data = read_intents(IntentsConfig(name="hwu64", dimensions=512, min_examples=5))
    distances = np.abs(data.data_set.rows.toarray() - inputs).sum(1)
    assert distances.min() < 1e-5 and data.data_set.names[int(distances.argmin()) // 8] == "intent3"
    assert classifier.encode(inputs) is inputs


def test_texts_may_stand_in_an_array_or_a_series(texts_run):
    class Series:
        """As pandas has it: numpy makes an array of objects of it."""

        def __init__(self, items):
            self.items = items

        def __array__(self, dtype=None, copy=None):
            return np.array(self.items, dtype=object)

    classifier, texts = FewShotClassifier.of_run(texts_run), ["bring the cup", "stop now"]
    expected = np.asarray(classifier.encode(texts))
    for column in (np.array(texts), np.array(texts, dtype=object), Series(texts)):
        np.testing.assert_array_equal(np.asarray(classifier.encode(column)), expected)
    with pytest.raises(UserError, match="stands beside examples of another kind"):
        classifier.encode(Series(["bring the cup", float("nan")]))


def test_below_the_threshold_the_answer_is_unknown(texts_run, tmp_path, capsys):
    examples = write_csv(tmp_path / "one.csv", [(texts[0], label) for label, texts in EXAMPLES.items()])
    asked = ["bring me the cup", "zzz qqq xxx"]  # one of the examples, and nothing that any of them has
    assert main(["classify", str(texts_run), *asked, "--examples", str(examples), "--unknown"]) == 0
    answers = [line.split("│")[2].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert answers == ["fetch", "unknown"]


def test_the_threshold_lets_the_share_through_that_was_asked_for(texts_run):
    classifier = FewShotClassifier.of_run(texts_run)
    classifier.fit_threshold(classifier.held_out_tasks(ways=3, shots=2), accepted=0.8)
    assert classifier.threshold_ is not None
    passed = []
    for X_support, y_support, X_query, _ in classifier.held_out_tasks(ways=3, shots=2):
        passed += (classifier.adapt(X_support, y_support).scores(X_query).max(1) >= classifier.threshold_).tolist()
    assert np.mean(passed) == pytest.approx(0.8, abs=0.01)


def test_what_was_saved_answers_alike_without_the_data(texts_run, own_texts, tmp_path, monkeypatch, capsys):
    saved, arguments = str(tmp_path / "saved"), ["--examples", str(own_texts), "--unknown"]
    assert main(["classify", str(texts_run), "bring a bottle", *arguments, "--save", saved]) == 0
    first = capsys.readouterr().out
    assert f"3 classes are in {saved}" in first
    monkeypatch.setenv("METARL_DATA", str(tmp_path / "nothing"))
    shutil.rmtree(texts_run)
    assert main(["classify", saved, "bring a bottle", "--unknown"]) == 0
    assert capsys.readouterr().out in first
    other = write_csv(tmp_path / "other.csv", [("open the door", "open"), ("close it", "close")])
    assert main(["classify", saved, "the door", "--examples", str(other)]) == 0
    assert "2 classes, prototypical" in capsys.readouterr().out
    assert main(["classify", saved, "the door", "--examples", str(other), "--unknown"]) == 2
    assert "takes held-out tasks for new examples, and" in capsys.readouterr().err
    assert main(["classify", str(tmp_path / "nowhere"), "the door"]) == 2
    assert "there is no " in capsys.readouterr().err


def test_a_runs_method_and_settings_can_be_trained_on_tasks_of_ones_own(texts_run):
    classifier = FewShotClassifier.of_run(texts_run)
    assert classifier.method == "prototypical" and classifier.config.net.projection == 16
    tasks = list(classifier.held_out_tasks(ways=3, shots=2, num_tasks=3))
    before = classifier.features(tasks[0][0])
    after = classifier.fit(tasks).features(tasks[0][0])
    assert after.shape == before.shape and np.abs(after - before).max() > 1e-4
    anew = FewShotClassifier(method="prototypical", config=classifier.config, seed=classifier.seed).fit(tasks)
    np.testing.assert_array_equal(anew.features(tasks[0][0]), after)


def write_images(folder: Path, shade: dict[str, int], count: int) -> None:
    for name, level in shade.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noise = numpy_rng((level, i)).integers(0, 20, (12, 12))
            Image.fromarray((level + noise).astype(np.uint8)).save(folder / name / f"{i}.png")


@pytest.fixture
def images_run(tmp_path) -> Path:
    root, out = tmp_path / "images", tmp_path / "run"
    write_images(root / "train", {"a": 0, "b": 80, "c": 160}, 4)
    write_images(root / "test", {"d": 40, "e": 120}, 4)
    arguments = ["--root", str(root), "--size", "12", "--channels", "1", "--method", "nearest_centroid"]
    episodes = ["--ways", "2", "--queries", "2", "--test-queries", "2", "--suites", "2w1s", "--num-episodes", "2"]
    assert main(["train", "images", "--out", str(out), *arguments, *episodes, "--iterations", "1"]) == 0
    return out


def test_own_images_are_named_file_by_file(images_run, tmp_path, capsys):
    write_images(tmp_path / "mine", {"left": 0, "right": 0}, 2)
    half = np.zeros((12, 12), np.uint8)
    half[:, :6] = 255
    for name, image in {"left": half, "right": 255 - half}.items():
        for i in range(2):
            Image.fromarray(image).save(tmp_path / "mine" / name / f"{i}.png")
    Image.fromarray(255 - half).save(tmp_path / "photo.png")
    arguments = ["classify", str(images_run), str(tmp_path / "photo.png"), "--examples", str(tmp_path / "mine")]
    arguments += ["--root", str(tmp_path / "images")]
    assert main([*arguments, "--queries", str(tmp_path / "mine"), "--out", str(tmp_path / "a.csv")]) == 0
    assert "4 of 4 right" in capsys.readouterr().out
    assert answers_in(tmp_path / "a.csv")[0]["answer"] == "right"
    classifier = FewShotClassifier.of_run(images_run, trust=Trust(stored=True))
    expected = to_image(read_image(tmp_path / "photo.png", size=12, channels=1)[None])
    np.testing.assert_array_equal(np.asarray(classifier.encode([tmp_path / "photo.png"])), expected)


def test_hidden_folders_are_no_classes_of_ones_own_and_empty_ones_are_named(tmp_path):
    write_images(tmp_path, {".ipynb_checkpoints": 0, "__MACOSX": 0, "left": 0, "right": 0}, 2)
    (tmp_path / "left" / "._0.png").write_bytes(b"Mac OS X resource fork")
    examples = read_own(tmp_path, "images", need_labels=True)
    assert examples.labels == ["left"] * 2 + ["right"] * 2
    assert examples.names == ["left/0.png", "left/1.png", "right/0.png", "right/1.png"]
    assert len(read_own(tmp_path / "left", "images", need_labels=False).raw) == 2
    (tmp_path / "up").mkdir()
    with pytest.raises(UserError, match="up is empty; put the images"):
        read_own(tmp_path, "images", need_labels=True)
    write_images(tmp_path / "up", {"far": 0}, 1)
    with pytest.raises(UserError, match="up has no image directly in it, only folders such as far"):
        read_own(tmp_path, "images", need_labels=True)


@pytest.fixture
def of_arrays(tmp_path) -> Path:
    """A classifier that was fitted to arrays."""
    X, y = numpy_rng((0,)).random((24, 6)), np.arange(24) % 4
    tasks = make_tasks(X, y, num_tasks=2, ways=2, shots=1, queries=1)
    FewShotClassifier(method="nearest_centroid").fit(tasks).save(tmp_path / "fitted")
    return tmp_path / "fitted"


def test_arrays_are_named_by_number(of_arrays, tmp_path, capsys):
    X = np.eye(6, dtype=np.float32)[:2]
    np.savez(tmp_path / "mine.npz", X=X, y=np.array([7, 4]))
    arguments = ["classify", str(of_arrays), "--examples", str(tmp_path / "mine.npz")]
    assert main([*arguments, "--queries", str(tmp_path / "mine.npz")]) == 0
    assert "2 of 2 right" in capsys.readouterr().out
    assert main([*arguments, "a text"]) == 2
    assert "the run takes arrays; give them as --queries FILE.npz" in capsys.readouterr().err
    assert main(arguments) == 2
    assert "nothing is asked" in capsys.readouterr().err
    with pytest.raises(UserError, match="takes arrays, not 'a text'; use a run on texts or images"):
        FewShotClassifier.load(of_arrays).encode(["a text"])


def test_force_series_are_encoded_as_the_data_set_is():
    series = np.arange(180).reshape(2, 15, 6)
    np.testing.assert_array_equal(ForceEncoder().encode(series), compress(series.reshape(2, 90)))
    with pytest.raises(UserError, match=r"shape \(6, 15\) are no force series of 15 readings of 6"):
        ForceEncoder().encode(series.reshape(2, 6, 15))


@pytest.mark.parametrize(
    "name, content, kind, message",
    [
        ("none.csv", None, "texts", "is not there; give a .csv file with the columns text and label"),
        ("x.json", "{}", "texts", "is neither .csv nor .txt"),
        ("x.csv", "words,label\na,b\n", "texts", r"has the columns \['words', 'label'\], of which one must be text"),
        ("x.csv", "text,label\nhello,\n", "texts", "line 2, has no text or no label"),
        ("x.csv", "text\nhello\n", "texts", "has no labels; give a .csv file"),
        ("x.csv", "text,label\ngo,a\nstop, now,b\n", "texts", "line 3, has more than 2 columns; put quotes around"),
        ("x.csv", "text;label\na, b;c\n", "texts", "they are separated by ';': save the file with commas"),
        ("x.csv", "text,label,text\na,b,c\n", "texts", "of which one must be text"),
        ("x.csv", "text,label\na\0,b\n" + "y" * 200_000, "texts", "no table of comma-separated values"),
        ("x.txt", "hello\n", "texts", "has no labels; give a .csv file"),
        ("x.csv", "text,label\n", "texts", "holds no example"),
        ("x.csv", b"text,label\n\xff,a\n", "texts", "is not in UTF-8"),
        ("x.pdf", "", "images", "is no folder; the run takes images"),
        ("x.png", "", "images", "has no labels; give a folder with a folder of images for each class"),
        ("x.npz", "no zip", "arrays", "cannot be read"),
        ("x.csv", "", "arrays", "is no .npz; the run takes arrays"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_form_it_should_have(tmp_path, name, content, kind, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        read_own(path, kind, need_labels=True)


def test_a_quoted_text_has_commas_and_line_breaks(tmp_path):
    (tmp_path / "x.csv").write_bytes(b'text,label\r\n"turn on\r\nthe light, please",light\r\nstop,halt\r\n')
    examples = read_own(tmp_path / "x.csv", "texts", need_labels=True)
    assert examples.raw == ["turn on the light, please", "stop"] and examples.labels == ["light", "halt"]


def test_arguments_that_do_not_go_together_are_refused(texts_run, own_texts, tmp_path, capsys):
    strange = write_csv(tmp_path / "strange.csv", [("stop now", "Halt"), ("the light", "Lamp")])
    own = ["--examples", str(own_texts)]
    for arguments, said in (
        ([*own, "stop", "--accepted", "0.9"], "--accepted 0.9 has no effect without --unknown"),
        ([*own, "stop", "--save", str(texts_run)], "is a run; give a directory of its own"),
        ([*own, "--queries", str(strange)], "labelled 'Halt', which is no class of the examples"),
        (own, "nothing is asked"),
        (["stop"], "--examples is missing"),
        ([*own, "stop", "--nonsense", "1"], "nonsense"),
    ):
        assert main(["classify", str(texts_run), *arguments]) == 2
        assert said in capsys.readouterr().err


def test_arrays_of_the_wrong_form_are_refused(tmp_path):
    for arrays, message in (
        ({"x": np.zeros((2, 3))}, r"holds \['x'\] and no X of the shape"),
        ({"X": np.zeros(3)}, r"no X of the shape \(n, \.\.\.\)"),
        ({"X": np.zeros((2, 3)), "y": np.zeros(3)}, r"y of the shape \(3,\) beside 2 examples"),
        ({"X": np.zeros((2, 3)), "y": np.array([0, np.nan])}, "label 1 of the examples in .* is NaN"),
        ({"X": np.array([["a"], [None]], dtype=object)}, "cannot be read"),
    ):
        np.savez(tmp_path / "x.npz", **arrays)
        with pytest.raises(UserError, match=message):
            read_own(tmp_path / "x.npz", "arrays", need_labels=True)


def test_a_run_without_classes_and_more_classes_than_the_held_out_ones_are_refused(
    texts_run, own_texts, tmp_path, capsys
):
    sinusoid = ["train", "sinusoid_maml", "--out", str(tmp_path / "s"), "--iterations", "1", "--num-episodes", "2"]
    assert main(sinusoid) == 0
    assert main(["classify", str(tmp_path / "s"), "x", "--examples", str(own_texts)]) == 2
    assert "is a run of sinusoid_maml, which has no classes" in capsys.readouterr().err
    assert main(["classify", str(tmp_path / "s"), "x"]) == 2  # and not that it lacks examples
    assert "is a run of sinusoid_maml, which has no classes" in capsys.readouterr().err
    many = write_csv(tmp_path / "many.csv", [(f"command{i} number", f"c{i}") for i in range(9)])
    assert main(["classify", str(texts_run), "x", "--examples", str(many), "--unknown"]) == 2
    said = capsys.readouterr().err
    assert "--unknown has no threshold for 9 classes with" in said and "a 9-way task needs 9 classes" in said
    assert "show fewer in --examples, or leave --unknown out" in said and "--suites" not in said
    called = write_csv(tmp_path / "called.csv", [("command", "unknown"), ("other", "b")])
    assert main(["classify", str(texts_run), "x", "--examples", str(called), "--unknown"]) == 2
    assert "a class is called 'unknown'" in capsys.readouterr().err
    with pytest.raises(UserError, match="'x' is one example; give a list of them"):
        FewShotClassifier.of_run(texts_run).encode("x")
    with pytest.raises(UserError, match="'x' stands beside examples of another kind"):
        FewShotClassifier.of_run(texts_run).encode(["x", 1.0])
