"""The nearest valid name."""

from __future__ import annotations

import pytest

from metarl.errors import nearest


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("HALFCHEETAH-V5", " (did you mean 'HalfCheetah-v5'?)"),
        ("halfcheetah-v5", " (did you mean 'HalfCheetah-v5'?)"),
        ("inner_rl", " (did you mean 'inner_lr'?)"),
        ("zzz", ""),
        (3, ""),
    ],
)
def test_the_nearest_name_whatever_its_case(name: object, said: str) -> None:
    assert nearest(name, ["Ant-v5", "HalfCheetah-v5", "inner_lr"]) == said
