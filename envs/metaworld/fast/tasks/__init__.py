"""The tasks by Meta-World's name."""

from __future__ import annotations

from metarl.envs.metaworld.fast.task import Task
from metarl.envs.metaworld.fast.tasks.basketball import Basketball
from metarl.envs.metaworld.fast.tasks.bin import BinPicking
from metarl.envs.metaworld.fast.tasks.box import BoxClose
from metarl.envs.metaworld.fast.tasks.button import (
    Button,
    ButtonTopdown,
    ButtonTopdownWall,
    ButtonWall,
    CoffeeButton,
)
from metarl.envs.metaworld.fast.tasks.coffee import Mug
from metarl.envs.metaworld.fast.tasks.dial import DialTurn
from metarl.envs.metaworld.fast.tasks.door import DoorClose, DoorOpen
from metarl.envs.metaworld.fast.tasks.drawer import DrawerClose, DrawerOpen
from metarl.envs.metaworld.fast.tasks.faucet import FaucetClose, FaucetOpen
from metarl.envs.metaworld.fast.tasks.hammer import Hammer
from metarl.envs.metaworld.fast.tasks.handle import HandlePress, HandlePull, HandlePullSide
from metarl.envs.metaworld.fast.tasks.hole import HandInsert, PickOutOfHole
from metarl.envs.metaworld.fast.tasks.lever import LeverPull
from metarl.envs.metaworld.fast.tasks.lock import DoorLock, DoorUnlock
from metarl.envs.metaworld.fast.tasks.nut import Assembly, Disassemble
from metarl.envs.metaworld.fast.tasks.peg import PegInsertSide, PegUnplugSide
from metarl.envs.metaworld.fast.tasks.pick_place import PickPlace, PickPlaceWall, ShelfPlace
from metarl.envs.metaworld.fast.tasks.plate import PlateSlide, PlateSlideLow
from metarl.envs.metaworld.fast.tasks.push import Push, PushBack, PushWall
from metarl.envs.metaworld.fast.tasks.reach import Reach, ReachWall
from metarl.envs.metaworld.fast.tasks.soccer import Soccer
from metarl.envs.metaworld.fast.tasks.stick import StickPull, StickPush
from metarl.envs.metaworld.fast.tasks.sweep import Sweep, SweepInto
from metarl.envs.metaworld.fast.tasks.window import WindowClose, WindowOpen

TASKS: dict[str, type[Task]] = {
    "assembly-v3": Assembly,
    "basketball-v3": Basketball,
    "bin-picking-v3": BinPicking,
    "box-close-v3": BoxClose,
    "button-press-topdown-v3": ButtonTopdown,
    "button-press-topdown-wall-v3": ButtonTopdownWall,
    "button-press-v3": Button,
    "button-press-wall-v3": ButtonWall,
    "coffee-button-v3": CoffeeButton,
    "coffee-pull-v3": Mug,
    "coffee-push-v3": Mug,
    "dial-turn-v3": DialTurn,
    "disassemble-v3": Disassemble,
    "door-close-v3": DoorClose,
    "door-lock-v3": DoorLock,
    "door-open-v3": DoorOpen,
    "door-unlock-v3": DoorUnlock,
    "drawer-close-v3": DrawerClose,
    "drawer-open-v3": DrawerOpen,
    "faucet-close-v3": FaucetClose,
    "faucet-open-v3": FaucetOpen,
    "hammer-v3": Hammer,
    "hand-insert-v3": HandInsert,
    "handle-press-side-v3": HandlePress,
    "handle-press-v3": HandlePress,
    "handle-pull-side-v3": HandlePullSide,
    "handle-pull-v3": HandlePull,
    "lever-pull-v3": LeverPull,
    "peg-insert-side-v3": PegInsertSide,
    "peg-unplug-side-v3": PegUnplugSide,
    "pick-out-of-hole-v3": PickOutOfHole,
    "pick-place-v3": PickPlace,
    "pick-place-wall-v3": PickPlaceWall,
    "plate-slide-back-side-v3": PlateSlideLow,
    "plate-slide-back-v3": PlateSlideLow,
    "plate-slide-side-v3": PlateSlideLow,
    "plate-slide-v3": PlateSlide,
    "push-back-v3": PushBack,
    "push-v3": Push,
    "push-wall-v3": PushWall,
    "reach-v3": Reach,
    "reach-wall-v3": ReachWall,
    "shelf-place-v3": ShelfPlace,
    "soccer-v3": Soccer,
    "stick-pull-v3": StickPull,
    "stick-push-v3": StickPush,
    "sweep-into-v3": SweepInto,
    "sweep-v3": Sweep,
    "window-close-v3": WindowClose,
    "window-open-v3": WindowOpen,
}
