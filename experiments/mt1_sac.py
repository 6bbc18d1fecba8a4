"""One of Meta-World's 50 skills by its name, from replay: `metarl train mt1_sac --env-name push-v3`; goals are shown.

200k env steps.
"""

from __future__ import annotations

from dataclasses import replace

from metarl.envs.metaworld.mt import MT
from metarl.experiments._sac import sac_on_mt

_config, build = sac_on_mt(MT(benchmark="MT1"), num_classes=1, iterations=200)


def config():
    """An iteration has two episodes, so that both workers are busy."""
    whole = _config()
    return replace(whole, trainer=replace(whole.trainer, meta_batch_size=2))
