"""Task distributions; importing them lets gymnasium know them by the ids of `metarl.envs.vector.ids`."""

from metarl.envs.vector.ids import register_ids

register_ids()
