"""A sweep as a job array of Slurm: a job a run, on any node that sees the same directory."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence


def submit_file(commands: Sequence[tuple[str, list[str]]], *, name: str, cores: int, at_once: int | None) -> str:
    """For sbatch. `commands`: each run's directory, and the words of its `metarl train` without `--resume`.

    A job that was cut off and is submitted again goes on where it was.
    """
    name = re.sub(r"[^\w.-]+", "_", name)  # Slurm reads words of that line, and bash a line after it
    limit = "" if at_once is None else f"%{at_once}"
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name={name}",
        f"#SBATCH --array=0-{len(commands) - 1}{limit}",
        f"#SBATCH --cpus-per-task={cores}",
        "#SBATCH --requeue",
        "# memory and time: run one of them alone first (`metarl sweep ... --seeds 0` says what it took)",
        "#SBATCH --mem=4G",
        "#SBATCH --time=24:00:00",
        "",
        "places=(",
        *(f"  {shlex.quote(place)}" for place, _ in commands),
        ")",
        "commands=(",
        *(f"  {shlex.quote(shlex.join(words))}" for _, words in commands),
        ")",
        'place="${places[$SLURM_ARRAY_TASK_ID]}"',
        'mkdir -p "$(dirname "$place")"',
        'resume=""; [[ -e "$place/config.json" ]] && resume=" --resume"',
        'eval "exec ${commands[$SLURM_ARRAY_TASK_ID]}$resume"',
        "",
    ]
    return "\n".join(lines)
