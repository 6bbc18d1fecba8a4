"""Rules of the house that can be read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ["metarl", "envs", "agents", "experiments"]
"""Each may import those before it."""

FILES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
WITH_PICKLE = ("metarl/rollout/worker.py", "envs/metaworld/")
"""A pipe to our own child, and metaworld's own tasks in memory: never a file."""
GLOBAL_STATE = ("get_state", "set_state")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of modules imported anywhere in a file, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the absolute name of the module"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def uses(tree: ast.AST) -> Iterator[str]:
    """Dotted names such as np.random.seed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def test_there_is_something_to_check(trees):
    assert {name.split("/")[0] for name in trees} == set(LAYERS)
    assert len(trees) > 40


def test_imports_go_one_way(trees):
    wrong = [
        f"{name} imports {module}"
        for name, tree in trees.items()
        for module in imports(tree)
        if module.split(".")[0] in [*LAYERS[LAYERS.index(name.split("/")[0]) + 1 :], "tests"]
    ]
    assert not wrong


def test_pickle_stays_in_its_two_places(trees):
    forbidden = ("pickle", "cloudpickle", "dill", "joblib", "torch.load", "torch.save", "shelve", "marshal")
    wrong = [
        f"{name} uses {used}"
        for name, tree in trees.items()
        if not name.startswith(WITH_PICKLE)
        for used in (*imports(tree), *uses(tree))
        if used.startswith(forbidden) and not used.startswith("pickletools")  # it lists a stream, and runs nothing
    ]
    assert not wrong


def test_no_global_random_numbers(trees):
    """np.random.Generator and the like are types; np.random.seed, uniform and so on are hidden state."""
    allowed = {"Generator", "PCG64", "SeedSequence", "BitGenerator", "default_rng"}
    wrong = []
    for name, tree in trees.items():
        for used in uses(tree):
            prefix, _, function = used.rpartition(".")
            if prefix in ("np.random", "numpy.random") and function not in allowed:
                if name == "envs/metaworld/goals.py" and function in GLOBAL_STATE:
                    continue  # metaworld draws from there; goals.py puts the state back
                wrong.append(f"{name} uses {used}")
            if used in ("torch.manual_seed", "torch.seed", "torch.random.manual_seed"):
                wrong.append(f"{name} uses {used}")
        wrong += [
            f"{name} imports {m}" for m in imports(tree) if m.split(".")[0] == "random" or m.startswith("numpy.random")
        ]
    assert not wrong


def test_no_module_is_named_utils(trees):
    assert not [name for name in trees if Path(name).stem in ("utils", "util", "helpers", "misc", "common")]


def test_every_package_directory_has_an_init():
    directories = {path.parent for path in FILES}
    assert not [name_of(d) for d in directories if not (d / "__init__.py").exists()]


def test_tasks_do_not_come_from_the_gymnasium_registry(trees):
    """metaworld 3.1.1 hands out ML1's test goals there under the name of the train split."""
    envs = {name: tree for name, tree in trees.items() if name.startswith("envs/metaworld/")}
    assert envs and not [name for name, tree in envs.items() if any(u.endswith("make_vec") for u in uses(tree))]
