"""`metarl data NAME [--from DIR]`: build a few-shot data set's files from what its authors publish."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.progress import BarColumn, Progress, TextColumn
from tyro.conf import Positional, arg

from metarl.errors import UserError
from metarl.fewshot.data.data_files import VARIABLE
from metarl.fewshot.data.intents_build import build_intents
from metarl.fewshot.data.omniglot_build import MD5, build_omniglot, fetch_zips
from metarl.fewshot.data.robot_failures_build import build_robot_failures
from metarl.runs.log import say


@dataclass(frozen=True)
class DataArguments:
    """Build a few-shot data set into the directory that METARL_DATA names."""

    data_set: Positional[Literal["omniglot", "clinc150", "banking77", "hwu64", "robot_failures"]]
    source: Annotated[Path | None, arg(name="from")] = None
    """The directory that holds what is to be read: Omniglot's images_background.zip and images_evaluation.zip,
    CLINC150's data_full.json and domains.json, Banking77's train.csv and test.csv, a clone of HWU64's repository, or
    the robot failures' lp1.data to lp5.data; without it they are downloaded."""


def main(rest: list[str]) -> int:
    arguments = tyro.cli(DataArguments, args=rest, prog="metarl data")
    place = os.environ.get(VARIABLE)
    if not place:
        raise UserError(f"{VARIABLE} is not set; set it to the directory that is to hold the few-shot data files")
    with Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%")) as bars:

        def bar(description: str) -> Callable[[int, int], None]:
            task = bars.add_task(description, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total or None)

        if arguments.source is not None and not arguments.source.is_dir():
            raise UserError(f"--from {arguments.source} is not a directory; give the one that holds the files")
        if arguments.data_set == "omniglot":
            if arguments.source is not None:
                _check_present(arguments.source)
            zips = fetch_zips(arguments.source or Path(place), bar)
            written = build_omniglot(zips, Path(place), bar("reading 32,460 images"))
        elif arguments.data_set == "robot_failures":
            written = [build_robot_failures(arguments.source, Path(place), bar)]
        else:
            written = [build_intents(arguments.data_set, arguments.source, Path(place), bar)]
    for path in written:
        say(f"wrote {path}")
    return 0


def _check_present(folder: Path) -> None:
    missing = [name for name in MD5 if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} lacks {' and '.join(missing)}; put {' and '.join(MD5)} there")
