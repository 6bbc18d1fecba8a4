"""Trained agents on the Hugging Face Hub, through huggingface_hub: safetensors and JSON alone, nothing executed.

A repository holds what an agent's card names, the card, and a page for people. What is pulled is checked as any agent
of the zoo is, and can be pinned: the revision by git, the content by the card's SHA-256, for the card has all others.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from metarl.errors import UserError
from metarl.files import new_directory, read_plain
from metarl.zoo.card import CARD, MAX_CARD_BYTES, MAX_FILE_BYTES, Card, check_files, digests, read_card
from metarl.zoo.model_card import PAGE, page

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
OF_THE_HUB = (PAGE, ".gitattributes")
"""In a repository besides; they are not downloaded."""
TIMEOUT_SECONDS = 10


class Pulled(NamedTuple):
    """An agent that came from the Hub, and what pins it."""

    folder: Path
    card: Card
    revision: str
    digest: str
    """Of the card."""


def local_name(repository: str) -> str:
    """USER--NAME, by which a pulled agent lies in the zoo. Raises UserError for no name of a repository."""
    if not REPOSITORY.fullmatch(repository):
        raise UserError(f"{repository!r:.200} is no repository of the hub; write USER/NAME")
    return repository.replace("/", "--")


def push(folder: Path, card: Card, repository: str, *, private: bool = False) -> str:
    """Upload an agent of the zoo as one commit; where it is then. Raises UserError."""
    local_name(repository)
    hub, api = _hub()
    files = {name: read_plain(folder / name, max_bytes=MAX_FILE_BYTES) for name in (CARD, *card.files)}
    operations = [
        hub.CommitOperationAdd(name, content)
        for name, content in {**files, PAGE: page(card, repository).encode()}.items()
    ]
    with _reaching(repository):
        api.create_repo(repository, exist_ok=True, private=private)
        commit = api.create_commit(repository, operations, commit_message=f"metarl zoo push {card.name}")
    return str(commit.commit_url)


def pull(repository: str, folder: Path, *, revision: str | None = None, digest: str | None = None) -> Pulled:
    """FOLDER/USER--NAME with the files that its card names, whole or not at all. Raises UserError."""
    target = folder / local_name(repository)
    if target.exists():
        raise UserError(f"{target} is there already; remove it to pull {repository} again")
    hub, api = _hub()
    with _reaching(repository):
        info = api.model_info(repository, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    if sizes.get(CARD, MAX_CARD_BYTES + 1) > MAX_CARD_BYTES:
        raise UserError(f"{repository} holds no {CARD} of a trained agent; give a repository that `zoo push` made")
    with new_directory(folder), tempfile.TemporaryDirectory(prefix=".pull-", dir=folder) as scratch:
        new, cache = Path(scratch) / "new", Path(scratch) / "cache"

        def fetch(name: str) -> None:
            if sizes.get(name, 0) > MAX_FILE_BYTES:
                raise UserError(f"{repository}: {name} has {sizes[name]} bytes, more than {MAX_FILE_BYTES}")
            with _reaching(repository):
                found = hub.hf_hub_download(
                    repository, name, revision=info.sha, cache_dir=cache, endpoint=api.endpoint, token=api.token
                )
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, new / name)

        fetch(CARD)
        (found_digest,) = digests(new, [CARD]).values()
        if digest is not None and digest != found_digest:
            raise UserError(
                f"{repository} at {info.sha} has the digest {found_digest:.16}..., and you gave {digest:.16}...; ask "
                "whom you got that from"
            )
        card = read_card(new)
        if others := sorted(sizes.keys() - card.files.keys() - {CARD, *OF_THE_HUB}):
            raise UserError(f"{repository} holds {others[0]!r:.100}, which its card does not name; nothing was pulled")
        for name in card.files:
            fetch(name)
        check_files(new, card)
        new.rename(target)
    return Pulled(target, card, str(info.sha), found_digest)


def _hub() -> tuple[Any, Any]:
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError("the hub needs huggingface_hub; pip install 'metarl-suite[hub]'") from error
    return huggingface_hub, huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"))


@contextmanager
def _reaching(repository: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of the library, of its HTTP client, of the network
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{repository} cannot be reached on the hub ({type(error).__name__}: {reason:.200}); look at its name, the "
            "network, and for one that is private or yours to push to, `hf auth login`"
        ) from error
