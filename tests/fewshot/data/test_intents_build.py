"""The intents' files built from what their authors publish: the real texts, written down in the authors' layouts."""

import csv
import gzip
import json
import os
import urllib.error
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.fewshot.data import download, intents_build
from metarl.fewshot.data.data_files import read_json
from metarl.fewshot.data.intents import SHA256, digest

needs_data = pytest.mark.skipif(not os.environ.get("METARL_DATA"), reason="METARL_DATA is not set")
NAMES = ["clinc150", "banking77", "hwu64"]


def stored(name: str) -> dict:
    return read_json(Path(os.environ["METARL_DATA"]) / f"{name}.json.gz", remedy="")


def publish(name: str, content: dict, folder: Path) -> None:
    """As CLINC150, Banking77 and HWU64 are laid out by their authors."""
    folder.mkdir(parents=True)
    if name == "clinc150":
        (folder / "data_full.json").write_text(json.dumps(content["splits"], indent=1))
        (folder / "domains.json").write_text(json.dumps(content["domains"], indent=4))
    elif name == "banking77":
        for split, pairs in content["splits"].items():
            with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows([["text", "category"], *pairs])
    else:
        for split, place in {"train": "trainset", "test": "testset/csv"}.items():
            place = folder / "CrossValidation" / "one" / "KFold_1" / place
            place.mkdir(parents=True)
            for label in {label for _, label in content["splits"][split]}:
                scenario, intent = label.split("_")[0], label.partition("_")[2]
                rows = ";".join(("answerid", "scenario", "intent", "answer_annotation", "answer_from_anno")) + "\n"
                for i, (text, own) in enumerate(content["splits"][split]):
                    rows += f'{i};{scenario};{intent};"[x : {text}]";"{text}"\n' if own == label else ""
                (place / f"{label}.csv").write_text(rows)


@needs_data
@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_built_and_read(name, tmp_path, monkeypatch, capsys):
    content = stored(name)
    publish(name, content, tmp_path / "published")
    monkeypatch.setenv("METARL_DATA", str(tmp_path / "data"))
    assert main(["data", name, "--from", str(tmp_path / "published")]) == 0
    assert f"{name}.json.gz" in capsys.readouterr().out
    built = read_json(tmp_path / "data" / f"{name}.json.gz", remedy="")
    assert built["splits"] == content["splits"] and built.get("domains") == content.get("domains")
    assert digest(built) == digest(content) == SHA256[name]


@pytest.fixture
def published(tmp_path, monkeypatch) -> Path:
    """CLINC150's files with other texts."""
    splits = {split: [[f"{split} text", "a"]] for split in ("oos_val", "val", "train", "oos_test", "test", "oos_train")}
    publish("clinc150", {"splits": splits, "domains": {"home": ["a"]}}, tmp_path / "published")
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("METARL_DATA", str(tmp_path / "data"))
    return tmp_path / "published"


def refused(arguments: list[str], capsys) -> str:
    assert main(["data", *arguments]) == 2
    assert not list(Path(os.environ["METARL_DATA"]).iterdir())
    return capsys.readouterr().err


def test_what_is_not_the_published_data_is_refused(published, tmp_path, capsys):
    source = ["--from", str(published)]
    assert "the 6 texts in" in (message := refused(["clinc150", *source], capsys)) and "SHA-256" in message
    assert "has no train.csv" in refused(["banking77", *source], capsys)
    assert "has no KFold_1/testset/csv; give a clone of" in refused(["hwu64", *source], capsys)
    (published / "domains.json").write_text('{"home": ["a"')
    assert "are truncated or others" in refused(["clinc150", *source], capsys)
    (published / "data_full.json").write_text('{"train": []}')
    assert "are truncated or others" in refused(["clinc150", *source], capsys)
    assert "is not a directory" in refused(["clinc150", "--from", str(tmp_path / "nowhere")], capsys)


def test_without_network_it_says_what_to_put_where(published, monkeypatch, capsys):
    def no_network(*args, **options):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(download.urllib.request, "urlopen", no_network)
    message = refused(["clinc150"], capsys)
    assert "data_full.json and" in message and "`metarl data clinc150 --from DIRECTORY`" in message
    assert "run `git clone https" in refused(["hwu64"], capsys)


def test_a_truncated_file_is_refused_when_it_is_read(tmp_path, monkeypatch, capsys):
    data = gzip.compress(json.dumps({"splits": {"train": [["hello there", "a"]] * 300}}).encode())
    (tmp_path / "hwu64.json.gz").write_bytes(data[:-20])
    monkeypatch.setenv("METARL_DATA", str(tmp_path))
    train = ["train", "intents", "--data.name", "hwu64", "--out", str(tmp_path / "run")]
    assert main(train) == 2
    assert "hwu64.json.gz is truncated or damaged" in (message := capsys.readouterr().err)
    assert "`metarl data hwu64` builds it" in message
    (tmp_path / "hwu64.json.gz").write_bytes(data)
    assert main(train) == 2
    assert "not those that results were measured on" in capsys.readouterr().err


def test_the_files_that_are_fetched_are_those_that_are_read():
    assert set(intents_build.FILES) | {"hwu64"} == set(intents_build.READERS) == set(NAMES)
