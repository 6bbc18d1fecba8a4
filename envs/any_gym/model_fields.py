"""Fields of a MuJoCo model by name, scaled: `body_mass`, or one element of it, `body_mass[torso]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.envs.mujoco_calls import untyped
from metarl.errors import UserError, nearest

# what the rows of a field are, by the field's prefix
_OBJECTS = {
    "body": "BODY",
    "dof": "DOF",
    "jnt": "JOINT",
    "geom": "GEOM",
    "site": "SITE",
    "actuator": "ACTUATOR",
    "tendon": "TENDON",
    "eq": "EQUALITY",
}
_DOFS = {
    int(untyped.mjtJoint.mjJNT_FREE): 6,
    int(untyped.mjtJoint.mjJNT_BALL): 3,
    int(untyped.mjtJoint.mjJNT_SLIDE): 1,
    int(untyped.mjtJoint.mjJNT_HINGE): 1,
}
"""Degrees of freedom of a joint, by its type; no field that can be scaled has a row a coordinate (7 and 4 of them)."""


def parse_field(field: str) -> tuple[str, str | None]:
    """'body_mass[torso]' -> ('body_mass', 'torso')."""
    found = re.fullmatch(r"(\w+)(?:\[(.+)\])?", field)
    if found is None:
        raise UserError(f"model field {field!r} is not NAME or NAME[ELEMENT]; write e.g. 'body_mass[torso]'")
    return found[1], found[2]


def rows_of(model: Any, field: str, env: str) -> tuple[str, slice | int]:
    """(name of the array, rows that are meant). Raises UserError for an unknown field or element."""
    name, element = parse_field(field)
    arrays = [n for n in dir(model) if not n.startswith("_") and n.partition("_")[0] in _OBJECTS]
    if name not in arrays or not np.issubdtype(getattr(model, name).dtype, np.floating):
        raise UserError(
            f"env {env!r}: its MuJoCo model has no field {name!r} to scale{nearest(name, arrays)}; such are body_mass, "
            "dof_damping, geom_friction, actuator_gainprm"
        )
    if element is None:
        return name, slice(None)
    kind = name.partition("_")[0]
    if kind == "dof":  # degrees of freedom have no names; their joints do
        joint = _element(model, "JOINT", element, env, name)
        first = int(model.jnt_dofadr[joint])
        return name, slice(first, first + _DOFS[int(model.jnt_type[joint])])
    return name, _element(model, _OBJECTS[kind], element, env, name)


def _element(model: Any, kind: str, element: str, env: str, field: str) -> int:
    object_type = int(getattr(untyped.mjtObj, f"mjOBJ_{kind}"))
    index = untyped.mj_name2id(model, object_type, element)
    if index < 0:
        count = {"BODY": model.nbody, "JOINT": model.njnt, "GEOM": model.ngeom, "ACTUATOR": model.nu}.get(kind, 0)
        names = [n for i in range(count) if (n := untyped.mj_id2name(model, object_type, i))]
        raise UserError(
            f"env {env!r}: field {field!r} has no {kind.lower()} {element!r}{nearest(element, names)}; "
            f"it has {', '.join(names) or 'none with a name'}"
        )
    return index


class ModelScaler:
    """Sets fields of one env's model to its own values times a task's factors."""

    def __init__(self, model: Any, fields: Mapping[str, Any], env: str) -> None:
        self.model, self._env = model, env
        self._rows = {field: rows_of(model, field, env) for field in fields}
        self._own = {name: getattr(model, name).copy() for name, _ in self._rows.values()}
        self._set: dict[str, NDArray[np.float64]] = {}
        self._scratch = untyped.MjData(model)

    def scale(self, factors: Mapping[str, float]) -> None:
        for name, own in self._own.items():
            getattr(self.model, name)[...] = own
        for field, factor in factors.items():
            name, rows = self._rows[field]
            array = getattr(self.model, name)
            try:
                array[rows] *= factor
            except (TypeError, ValueError) as error:
                raise UserError(
                    f"env {self._env!r}: {factor!r} cannot scale model field {field!r} of shape {array[rows].shape}; "
                    "draw one number for it, without `size`"
                ) from error
        # inverse weights and the like follow from masses: without it constraints go on with the old ones
        untyped.mj_setConst(self.model, self._scratch)
        self._set = {field: self._values(field) for field in factors}

    def _values(self, field: str) -> NDArray[np.float64]:
        name, rows = self._rows[field]
        return np.array(getattr(self.model, name)[rows])

    def overwritten(self) -> list[str]:
        """Fields that have been given other values since they were scaled."""
        return [field for field, values in self._set.items() if not np.array_equal(values, self._values(field))]
