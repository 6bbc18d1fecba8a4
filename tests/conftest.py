"""Settings of all tests."""

import os

import pytest
import torch
from hypothesis import settings

# No deadline: a busy machine would fail it. The same examples each time: a new failure is a change of ours.
settings.register_profile("metarl", deadline=None, derandomize=True)
settings.load_profile("metarl")

# One thread: on a busy machine small products that wait for each other's threads take ten times as long.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def metarl_cache(tmp_path_factory):
    """Meta-World's goal lists are built once a session, and never read from the user's own cache."""
    before = os.environ.get("METARL_CACHE")
    os.environ["METARL_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["METARL_CACHE"]
    else:
        os.environ["METARL_CACHE"] = before
