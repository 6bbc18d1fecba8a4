"""The notebooks run from their first cell to their last, and show what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"


def outputs(name: str, folder: Path) -> list[Any]:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_agent_adapts_to_a_robot(tmp_path: Path) -> None:
    found = outputs("adapt_a_robot.ipynb", tmp_path)
    (line,) = [output.text for output in found if output.output_type == "stream" and "successes" in output.text]
    before, _, after = map(int, line.split(":")[1].split())
    assert after > before
    assert any("image/png" in output.get("data", {}) for output in found)
    assert "(2, 15)" in found[-1].data["text/plain"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_digits_that_the_net_was_never_trained_on(tmp_path: Path) -> None:
    found = outputs("few_shot.ipynb", tmp_path)
    (scores,) = [o.data["text/plain"] for o in found if "meta-trained" in o.get("data", {}).get("text/plain", "")]
    values = [float(x) for x in re.findall(r"0\.\d+", scores)]
    assert len(values) == 8 and values[0] > 0.5
