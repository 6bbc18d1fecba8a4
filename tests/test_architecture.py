"""Rules of the house that can be read off the source."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ["core", "envs", "agents", "experiments", "cli"]
"""Each may import those before it. The core is metarl/ without the links to the folders at the top, and without cli."""
FOLDERS = ["metarl", "envs", "agents", "experiments"]
ENTRY_POINT_GROUPS = ("metarl.envs", "metarl.agents", "metarl.experiments")
"""What other packages add to is named so; these strings name no module."""

FILES = sorted(
    path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if (ROOT / folder) in path.resolve().parents
)
WITH_PICKLE = ("metarl/rollout/message.py", "envs/metaworld/")
"""Messages to our own workers, and metaworld's own tasks in memory: never a file."""
WITH_WEIGHTS = "agents/sb3_policy.py"
"""Reads SB3's files by torch.load(weights_only=True), which runs nothing."""
DRAWS_GLOBALLY = "experiments/interop/torchrl_a2c.py"
"""TorchRL's policies and nets draw from torch's global generator, and from no other."""
GLOBAL_STATE = ("get_state", "set_state")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def layer_of(name: str) -> str:
    """Of a file."""
    top, second, *_ = name.split("/")
    return top if top != "metarl" else "cli" if second in ("cli", "__main__.py") else "core"


def layer_of_module(module: str) -> str | None:
    """Of a dotted name; None for what is not ours."""
    top, _, rest = module.partition(".")
    second = rest.partition(".")[0]
    if top != "metarl":
        return None
    return second if second in LAYERS else "core"


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of modules imported anywhere in a file, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the absolute name of the module"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_strings(tree: ast.AST) -> Iterator[str]:
    """Strings, and beginnings of f-strings, that could name a module of ours to an importer."""
    documentation = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            if re.match(r"metarl(\.\w*)+$", node.value) and node.value not in ENTRY_POINT_GROUPS:
                yield node.value


def uses(tree: ast.AST) -> Iterator[str]:
    """Dotted names such as np.random.seed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def test_there_is_something_to_check(trees):
    assert {layer_of(name) for name in trees} == set(LAYERS)
    assert len(trees) > 200


def test_imports_go_one_way_and_no_string_goes_round_that(trees):
    wrong = []
    for name, tree in trees.items():
        above = LAYERS[LAYERS.index(layer_of(name)) + 1 :]
        wrong += [f"{name} imports {module}" for module in imports(tree) if layer_of_module(module) in above]
        wrong += [f"{name} names {text!r}" for text in module_strings(tree) if layer_of_module(text) in above]
        wrong += [f"{name} imports {m}" for m in imports(tree) if m.split(".")[0] in (*FOLDERS[1:], "tests")]
    assert not wrong


def test_the_links_lead_to_the_folders_at_the_top():
    for layer in FOLDERS[1:]:
        assert (ROOT / "metarl" / layer).readlink() == Path("..") / layer
    groups = set(re.findall(r'project\.entry-points\."(.+)"', (ROOT / "pyproject.toml").read_text()))
    assert groups <= set(ENTRY_POINT_GROUPS)


def test_a_folder_that_holds_the_checkout_does_not_hide_the_package(tmp_path: Path) -> None:
    """Installed in place, src is on the path; the folder is called metarl as well, and is no package."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["package-dir"] == {"": "src"}
    assert [path.name for path in (ROOT / "src").iterdir() if path.suffix != ".egg-info"] == ["metarl"]
    (tmp_path / "metarl").symlink_to(ROOT)
    code = f"import sys; sys.path.append({str(ROOT / 'src')!r}); import metarl; print(metarl.__file__)"
    isolated = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=isolated, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(ROOT / "src" / "metarl" / "__init__.py"), done.stderr


def test_pickle_stays_in_its_two_places(trees):
    forbidden = ("pickle", "cloudpickle", "dill", "joblib", "torch.load", "torch.save", "shelve", "marshal")
    wrong = [
        f"{name} uses {used}"
        for name, tree in trees.items()
        if not name.startswith(WITH_PICKLE)
        for used in (*imports(tree), *uses(tree))
        if used.startswith(forbidden)
        if not (name == WITH_WEIGHTS and used == "torch.load")
    ]
    assert not wrong
    (call,) = [
        node
        for node in ast.walk(trees[WITH_WEIGHTS])
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert "weights_only=True" in map(ast.unparse, call.keywords)
    assert list(uses(trees[WITH_WEIGHTS])).count("torch.load") == 1  # no other name leads to it


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
            if used in ("torch.manual_seed", "torch.seed", "torch.random.manual_seed") and name != DRAWS_GLOBALLY:
                wrong.append(f"{name} uses {used}")
        wrong += [
            f"{name} imports {m}" for m in imports(tree) if m.split(".")[0] == "random" or m.startswith("numpy.random")
        ]
    assert not wrong


def test_no_module_is_named_utils(trees):
    assert not [name for name in trees if Path(name).stem in ("utils", "util", "helpers", "misc", "common")]


def test_what_the_reference_lists_says_what_it_is(trees):
    """The documentation site is made of the docstrings; of experiments and commands it shows the settings."""
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in trees.items()
        if layer_of(name) in ("core", "envs", "agents")
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if not ast.get_docstring(node)
    ]
    assert not silent, "write a docstring for each"


def test_every_package_directory_has_an_init():
    directories = {path.parent for path in FILES}
    assert not [name_of(d) for d in directories if not (d / "__init__.py").exists()]


def test_tasks_do_not_come_from_the_gymnasium_registry(trees):
    """metaworld 3.1.1 hands out ML1's test goals there under the name of the train split."""
    envs = {name: tree for name, tree in trees.items() if name.startswith("envs/metaworld/")}
    assert envs and not [name for name, tree in envs.items() if any(u.endswith("make_vec") for u in uses(tree))]
