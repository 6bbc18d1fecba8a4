"""A scene that cannot be drawn is an error, and nothing else is printed."""

from __future__ import annotations

import gc
import sys
from types import SimpleNamespace

import pytest
from gymnasium.envs.mujoco.mujoco_rendering import OffScreenViewer

from metarl.envs.scene_picture import ScenePicture


def test_without_gl_nothing_is_printed_besides_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_gl(self, *arguments) -> None:
        raise RuntimeError("no GL")

    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    monkeypatch.setattr(OffScreenViewer, "__init__", no_gl)
    model = SimpleNamespace(vis=SimpleNamespace(global_=SimpleNamespace(offwidth=0, offheight=0)))
    with pytest.raises(RuntimeError, match="no GL"):
        ScenePicture(model, None, 8, "camera")
    gc.collect()
    assert not unraisable
