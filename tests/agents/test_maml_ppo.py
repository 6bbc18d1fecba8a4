"""The docs' example of an agent of your own: it is what the docs show, short, and learns."""

from pathlib import Path

import numpy as np

from metarl.envs.navigation import Navigation
from metarl.seeding import torch_rng
from tests.agents.fast_weights import learning_curve
from tests.agents.maml_ppo import MAMLPPOConfig, maml_ppo

FILE = Path(__file__).with_name("maml_ppo.py")


def test_the_docs_show_the_file_whole_and_it_is_short():
    code = FILE.read_text(encoding="utf-8")
    assert f"```python\n{code}```" in (FILE.parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
    assert len(code.splitlines()) <= 60


def test_it_learns_navigation():
    """8 meta-updates: the return after one adaptation step rises from about -45."""
    config = MAMLPPOConfig(hidden=(32, 32), init_std=0.5, lr=1e-2)
    tasks = Navigation()
    returns = learning_curve(maml_ppo(tasks.spec, config, generator=torch_rng((0,))), tasks, iterations=8)
    assert np.mean(returns[-2:]) > np.mean(returns[:2]) + 8
