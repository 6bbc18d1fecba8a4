"""Figures: what they show is asked of matplotlib before they are saved."""

import sys

import pytest

from metarl.errors import UserError
from metarl.scores import plots
from metarl.scores.plots import plot_adaptation, plot_training

RETURNS = {
    "meta-trained": [(-40.0, -42.0, -38.0), (-12.0, -13.0, -11.5)],
    "random": [(-41.0, -43.0, -39.0)] * 2,
}
SUCCESS = {"meta-trained": [(0.1, 0.05, 0.2), (0.95, 0.9, 0.99)], "random": [(0.1, 0.0, 0.2)] * 2}
PANELS = {"return per episode": ("return", (0, 1), RETURNS), "success rate": ("success_any", (0, 1), SUCCESS)}
PNG = b"\x89PNG"


@pytest.fixture
def saved(monkeypatch):
    figures = []
    save = plots.save_figure
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: (figures.append(figure), save(figure, path)))
    return figures


def test_adaptation(tmp_path, saved):
    path = tmp_path / "größe 1" / "adaptation.png"
    path.parent.mkdir()
    plot_adaptation(path, PANELS)
    assert path.read_bytes().startswith(PNG)
    assert list(path.parent.iterdir()) == [path]
    (figure,) = saved
    left, right = figure.axes
    assert (left.get_xlabel(), right.get_ylabel()) == ("adaptation steps", "success rate")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["meta-trained", "random"]
    means, caps, (bars,) = left.containers[0]
    assert list(means.get_ydata()) == [-40.0, -12.0]
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[-42.0, -38.0], [-13.0, -11.5]]
    assert caps


def test_curves_of_unequal_length_and_a_rounded_bound(tmp_path):
    """A mean may lie outside its interval by a rounding error, which matplotlib refuses."""
    curves = {"a": [(1.0, 1.0 + 1e-16, 1.0 - 1e-16)], "b": [(0.5, 0.4, 0.6)] * 4}
    plot_adaptation(tmp_path / "a.png", {"a": ("return", range(4), curves), "b": ("success_any", range(4), curves)})
    assert (tmp_path / "a.png").exists()


def test_training_picks_known_metrics_and_leaves_gaps_for_nan(tmp_path, saved):
    rows = [
        {"iteration": 0, "env_steps": 100, "seconds": 1.0, "return": 1.0, "kl": float("nan")},
        {"iteration": 1, "env_steps": 200, "seconds": 1.0, "return": 2.0, "kl": 0.1, "late": 1.0},
    ]
    plot_training(tmp_path / "a.png", rows)
    plot_training(tmp_path / "b.png", rows, metrics=["late", "absent"])
    first, second = saved
    assert [axes.get_ylabel() for axes in first.axes] == ["return", "kl", "late"]
    assert first.axes[0].lines[0].get_xydata().tolist() == [[100.0, 1.0], [200.0, 2.0]]
    assert first.axes[0].get_xlabel() == "env steps"
    assert [axes.get_ylabel() for axes in second.axes] == ["late"]


def test_training_without_env_steps_is_over_iterations(tmp_path, saved):
    rows = [{"iteration": i, "env_steps": 0, "seconds": 1.0, **dict.fromkeys("abcdefgh", 1.0)} for i in range(3)]
    plot_training(tmp_path / "a.png", rows)
    assert saved[0].axes[0].get_xlabel() == "iteration"
    assert len(saved[0].axes) == 6


def test_nothing_to_draw(tmp_path):
    with pytest.raises(UserError, match="no metric to draw"):
        plot_training(tmp_path / "a.png", [])


def test_bad_place_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*missing/a.png: No such file.*; free space there, or choose"):
        plot_adaptation(tmp_path / "missing" / "a.png", PANELS)


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="pip install matplotlib"):
        plot_adaptation(tmp_path / "a.png", PANELS)


def test_one_panel_is_narrower_than_two(tmp_path):
    both, one = tmp_path / "both.png", tmp_path / "one.png"
    plot_adaptation(both, PANELS)
    plot_adaptation(one, dict([*PANELS.items()][:1]))
    widths = [int.from_bytes(path.read_bytes()[16:20], "big") for path in (both, one)]  # of the PNG header
    assert widths == [1560, 975]
