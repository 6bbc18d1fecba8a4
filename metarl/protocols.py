"""Whether an object of a user's own has what a protocol asks for: told at once and not in the middle of a run."""

from __future__ import annotations

from typing import Any, Generic, Protocol

from metarl.errors import UserError


def check_members(thing: Any, protocol: type, *, what: str) -> None:
    """Raises UserError naming what `thing` lacks of a protocol's properties and methods."""
    bases = [base for base in protocol.__mro__ if base not in (protocol, Protocol, Generic, object)]
    members = {name for base in (protocol, *bases) for name in (*vars(base), *vars(base).get("__annotations__", {}))}
    missing = sorted(name for name in members if not name.startswith("_") and not hasattr(thing, name))
    if missing:
        raise UserError(
            f"{what} {type(thing).__name__} has no {', no '.join(missing)}; {protocol.__name__} in "
            f"{protocol.__module__} says what they are"
        )
