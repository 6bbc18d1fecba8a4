"""The robot failures' file built from UCI's layout: the real readings, written down in it."""

import os
import urllib.error
from pathlib import Path

import numpy as np
import pytest

from metarl.cli.main import main
from metarl.fewshot.data import download
from metarl.fewshot.data.data_files import read_arrays
from metarl.fewshot.data.robot_failures import FILE, SHA256
from metarl.fewshot.data.robot_failures_build import FILES

pytestmark = pytest.mark.skipif(not os.environ.get("METARL_DATA"), reason="METARL_DATA is not set")


@pytest.fixture
def published(tmp_path, monkeypatch) -> Path:
    arrays = read_arrays(Path(os.environ["METARL_DATA"]) / FILE, sha256=SHA256, remedy="")
    folder = tmp_path / "published"
    folder.mkdir()
    for problem, name in enumerate(FILES, start=1):
        text = ""
        for x, y in zip(
            arrays["x"][arrays["problem"] == problem], arrays["y"][arrays["problem"] == problem], strict=True
        ):
            rows = "".join("\t" + "\t".join(map(str, row)) + "\n" for row in x)
            text += f"{str(arrays['label_names'][y]).partition('/')[2]}\n{rows}\n\n"
        (folder / name).write_text(text)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("METARL_DATA", str(tmp_path / "data"))
    return folder


def test_the_file_is_built_and_read(published, tmp_path, capsys):
    assert main(["data", "robot_failures", "--from", str(published)]) == 0
    assert FILE in capsys.readouterr().out
    built = read_arrays(tmp_path / "data" / FILE, sha256=SHA256, remedy="")
    assert built["x"].shape == (463, 15, 6) and np.bincount(built["problem"]).tolist() == [0, 88, 47, 47, 117, 164]
    small = ["--iterations", "2", "--num-episodes", "2", "--out", str(tmp_path / "run")]
    assert main(["train", "robot_failures_prototypical", *small]) == 0


def test_what_is_not_the_published_data_is_refused(published, monkeypatch, capsys):
    def refused(*arguments) -> str:
        assert main(["data", "robot_failures", *arguments]) == 2
        assert not list(Path(os.environ["METARL_DATA"]).iterdir())
        return capsys.readouterr().err

    source = ["--from", str(published)]
    lines = (published / "lp1.data").read_text()
    (published / "lp1.data").write_text(lines.replace("63", "64", 1))
    assert "x in the files in" in refused(*source)
    (published / "lp1.data").write_text(lines.replace("collision", "normal", 1))
    assert "y in the files in" in refused(*source)
    (published / "lp1.data").write_text(lines[:-60])
    assert "lp1.data is truncated or another file" in refused(*source)
    (published / "lp1.data").unlink()
    assert "lacks lp1.data; put" in refused(*source)

    def no_network(*args, **options):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(download.urllib.request, "urlopen", no_network)
    assert "`metarl data robot_failures --from DIRECTORY`" in refused()
