"""Frames of an episode: which GL there is, two videos side by side, and a gif or mp4 of them."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from metarl.cli.process.machine import gl_works
from metarl.errors import UserError
from metarl.files import replace_file

Frame = NDArray[np.uint8]
"""(H, W, 3)"""
GL_VARIABLES = ("MUJOCO_GL", "PYOPENGL_PLATFORM")
"""Which GL mujoco and PyOpenGL take; each reads its own when it is imported."""


@contextmanager
def offscreen_gl(timeout_seconds: float = 30.0) -> Iterator[str | None]:
    """MUJOCO_GL is what works here without a screen inside the `with`: egl, else osmesa; None where neither does.

    To be entered before mujoco is imported, which reads it then. What the user has set is left as it is. Afterwards
    both variables are as before: a process started later would import mujoco for a GL that was only tried.
    """
    before = {name: os.environ.get(name) for name in GL_VARIABLES}
    try:
        yield _choose_gl(timeout_seconds)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _choose_gl(timeout_seconds: float) -> str | None:
    wanted = os.environ.get("MUJOCO_GL")
    for backend in [wanted] if wanted else ["egl", "osmesa"]:
        if gl_works(backend, timeout_seconds):
            os.environ["MUJOCO_GL"] = backend
            os.environ.setdefault("PYOPENGL_PLATFORM", backend)
            return backend
    return None


def side_by_side(left: Sequence[Frame], right: Sequence[Frame], captions: tuple[str, str], title: str) -> list[Frame]:
    """One video of two; the shorter one's last frame stays. Each has its caption above it, and both have the title."""
    frames, shown = [], [left[0], right[0]]
    for pair in zip_longest(left, right):
        shown = [new if new is not None else old for new, old in zip(pair, shown, strict=True)]
        line = band_height(len(shown[0]))
        halves = [_captioned(frame, text, line) for frame, text in zip(shown, captions, strict=True)]
        frames.append(_captioned(np.concatenate(halves, 1), title, line))
    return frames


def band_height(frame_height: int) -> int:
    """Pixels of a line of text above a frame."""
    return max(16, frame_height // 16)


def _captioned(frame: Frame, text: str, height: int) -> Frame:
    """The text is as large as its line, or as the width allows."""
    width = frame.shape[1]
    band = Image.new("RGB", (width, height), "white")
    margin, size = height // 4, 0.7 * height
    room = (width - 2 * margin) / max(1.0, ImageFont.load_default(size).getlength(text))
    font = ImageFont.load_default(max(6.0, size * min(1.0, room)))
    ImageDraw.Draw(band).text((margin, height / 2), text, fill="black", font=font, anchor="lm")
    return np.concatenate([np.asarray(band), frame])


def check_can_write(path: Path) -> None:
    """Raise UserError, before anything is rendered, for a file that could not be written."""
    if path.suffix not in (".gif", ".mp4"):
        raise UserError(f"--out {path} must end in .gif or .mp4")
    if path.suffix == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise UserError(f"--out {path} needs an encoder: pip install imageio-ffmpeg, or write a .gif")


def write_video(path: Path, frames: Sequence[Frame], *, frames_per_second: float) -> None:
    check_can_write(path)
    content = _mp4(frames, frames_per_second) if path.suffix == ".mp4" else _gif(frames, frames_per_second)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another --out") from error


def _gif(frames: Sequence[Frame], frames_per_second: float) -> bytes:
    # one palette for all frames: colours would flicker otherwise; an octree keeps the colour of what is small, a goal
    some = np.concatenate(frames[:: -(-len(frames) // 8)])
    palette = Image.fromarray(some).quantize(256, Image.Quantize.FASTOCTREE)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    content, milliseconds = io.BytesIO(), max(20, round(1000 / frames_per_second))
    images[0].save(content, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    return content.getvalue()


def webp(frames: Sequence[Frame], *, frames_per_second: float = 1.0, quality: int = 60) -> bytes:
    """A picture, or of several frames a moving one: an eighth of a gif, and every browser shows it."""
    images, content = [Image.fromarray(frame) for frame in frames], io.BytesIO()
    moving: dict[str, Any] = {}
    if len(images) > 1:
        moving = {"save_all": True, "append_images": images[1:], "duration": round(1000 / frames_per_second), "loop": 0}
    images[0].save(content, "WEBP", quality=quality, method=4, **moving)
    return content.getvalue()


def _mp4(frames: Sequence[Frame], frames_per_second: float) -> bytes:
    ffmpeg = importlib.import_module("imageio_ffmpeg")  # the extra `video`
    height, width = (side + side % 2 for side in frames[0].shape[:2])  # H.264 wants even sides
    # macro_block_size: without it, frames are stretched to a multiple of 16
    with tempfile.TemporaryDirectory() as folder:  # ffmpeg would write through a link
        path = Path(folder) / "video.mp4"
        writer = ffmpeg.write_frames(str(path), (width, height), fps=frames_per_second, macro_block_size=2, quality=7)
        writer.send(None)
        for frame in frames:
            padded = np.pad(frame, ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0)), mode="edge")
            writer.send(np.ascontiguousarray(padded))
        writer.close()
        return path.read_bytes()
