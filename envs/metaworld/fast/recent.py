"""A dict that keeps only the entries used last."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """At most `capacity` entries; the one unused for longest goes first, so that memory stays flat."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[object, Value] = OrderedDict()

    def get(self, key: object) -> Value | None:
        """The entry, or None; marks it as used."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: object, value: Value) -> Value:
        """Store and return `value`."""
        self._entries[key] = value
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return value
