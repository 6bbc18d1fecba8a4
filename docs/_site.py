"""What the documentation site is made of besides docs/: README, the results, and a reference made from docstrings.

A hook of mkdocs (mkdocs.yml): pages are generated when the site is built, so that nothing is written twice.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
COPIED = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "SECURITY.md": "SECURITY.md",
    "experiments/README.md": "results/README.md",
    "experiments/FEW_SHOT.md": "results/FEW_SHOT.md",
    "experiments/LOG.md": "results/LOG.md",
}
PUBLIC = {
    "Trained agents": ("metarl", "metarl.deploy.agent", "metarl.deploy.session", "metarl.deploy.export", "metarl.zoo"),
    "The protocols": ("metarl.types", "metarl.learner", "metarl.tasks", "metarl.experiment", "metarl.seeding"),
    "Collecting and scoring": ("metarl.rollout.pool", "metarl.rollout.collect", "metarl.scores"),
    "Learning": ("metarl.learn", "metarl.rl"),
    "Agents": ("metarl.agents",),
    "Environments": ("metarl.envs",),
    "Few-shot learning": ("metarl.fewshot",),
    "Experiment files": ("metarl.experiments._plug_in", "metarl.config", "metarl.validate"),
}
"""Modules of the reference, by its pages; of a package all that do not begin with _."""
LINK = re.compile(r"(\[[^]]*\]\()([^)\s#]+)(#[^)\s]*)?(\))")


def on_files(files: Files, config: Any) -> Files:
    """mkdocs calls it with what lies in docs/."""
    for source, target in COPIED.items():
        text = relinked((ROOT / source).read_text(encoding="utf-8"), ROOT / source, target)
        files.append(File.generated(config, target, content=text))
    reference = []
    for title, modules in PUBLIC.items():
        name = f"reference/{title.lower().replace(' ', '_').replace('-', '_')}.md"
        lines = [f"# {title}", "", *(f"::: {module}\n" for part in modules for module in modules_of(part))]
        files.append(File.generated(config, name, content="\n".join(lines)))
        reference.append({title: name})
    files.append(File.generated(config, "reference/commands.md", content=commands()))
    config.nav.append({"Reference": [{"Commands": "reference/commands.md"}, *reference]})
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of docs/*.md to what the site has copied."""
    if page.file.generated_by:
        return markdown
    return relinked(markdown, ROOT / "docs" / page.file.src_uri, page.file.src_uri)


def relinked(text: str, source: Path, target: str) -> str:
    """Links between files of the checkout as links between pages; to what is no page, as plain words."""

    def link(match: re.Match[str]) -> str:
        begin, place, anchor, end = match.groups()
        if "://" in place or place.startswith("mailto:"):
            return match[0]
        path = (source.parent / place).resolve()
        page = page_of(path)
        if page is None:
            return match[0] if path.is_relative_to(ROOT / "docs") else begin.removeprefix("!").strip("[](")
        up = "../" * target.count("/")
        return f"{begin}{up}{page}{anchor or ''}{end}"

    return LINK.sub(link, text)


def page_of(path: Path) -> str | None:
    if not path.is_relative_to(ROOT):
        return None
    place = path.relative_to(ROOT).as_posix()
    if place in COPIED:
        return COPIED[place]
    return place.removeprefix("docs/") if place.startswith("docs/") and path.is_file() else None


def modules_of(name: str) -> list[str]:
    """A module, or those of a package and below it."""
    path = ROOT / Path(*name.split("."))
    if path.with_suffix(".py").is_file():
        return [name]
    if name == "metarl":
        return [name]
    found = [file for file in sorted(path.rglob("*.py")) if not any(p.startswith("_") for p in file.parts)]
    # metarl/envs is a link: its files lie elsewhere
    return [f"{name}.{'.'.join(file.relative_to(path).with_suffix('').parts)}" for file in found]


def commands() -> str:
    """The help of each command, as it prints it."""
    from metarl.cli.main import COMMANDS, main

    lines = ["# Commands", ""]
    for name, about in COMMANDS.items():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([name, "--help"])
        plain = re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue())
        lines += [f"## metarl {name}", "", f"{about[0].upper()}{about[1:]}.", "", "```text", plain.strip(), "```", ""]
    return "\n".join(lines)
