"""Configs: round trips, overrides by name, and errors that name the field."""

import json
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarl.config import (
    MAY_DIFFER,
    WITHOUT_EFFECT,
    all_fields,
    apply_overrides,
    check_stored,
    config_from_dict,
    config_to_dict,
    describe_fields,
    is_one_of,
    marked_names,
    marked_values,
)
from metarl.errors import UserError
from metarl.validate import Bounds, Checked


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    hidden: tuple[int, ...] = (64, 64)
    """Width of each layer."""
    init_std: float = 1.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class AgentConfig(Checked):
    inner_lr: Annotated[float, Bounds(above=0, remedy="pick a positive step size")] = 0.1
    """Step size of adaptation,
    per step."""

    first_order: bool = False
    max_kl: float | None = 0.01
    mode: Literal["trpo", "ppo", 3] = "trpo"
    names: tuple[str, ...] = ()
    box: tuple[float, int] = (0.5, 2)
    policy: PolicyConfig = field(default_factory=PolicyConfig)


@dataclass(frozen=True, kw_only=True)
class BaseConfig:
    seed: int = 1
    """Of everything."""


@dataclass(frozen=True, kw_only=True)
class RunConfig(BaseConfig):
    env_name: str = "reach-v3"
    low: int = 0
    high: int = 10
    agent: AgentConfig = field(default_factory=AgentConfig)
    critic: PolicyConfig = field(default_factory=PolicyConfig)
    no_op_steps: int = 0

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError(f"low={self.low} must be <= high={self.high}; lower it")


finite = st.floats(allow_nan=False, allow_infinity=False)
policies = st.builds(PolicyConfig, hidden=st.lists(st.integers(1, 512)).map(tuple), init_std=finite)
agents = st.builds(
    AgentConfig,
    inner_lr=st.floats(min_value=1e-9, max_value=10),
    first_order=st.booleans(),
    max_kl=st.none() | finite,
    mode=st.sampled_from(["trpo", "ppo", 3]),
    names=st.lists(st.text()).map(tuple),
    policy=policies,
)
configs = st.builds(RunConfig, seed=st.integers(0, 2**63), env_name=st.text(), agent=agents, critic=policies)


@given(configs)
def test_what_a_stored_config_lacks_is_stored_with_its_default(config):
    """As of a run that was made before the field was."""
    data = config_to_dict(config)
    del data["agent"]["first_order"]
    again = config_to_dict(config_from_dict(RunConfig, data))
    assert again["agent"]["first_order"] is AgentConfig().first_order


@given(configs)
def test_round_trip_through_json(config):
    data = config_to_dict(config)
    assert json.loads(json.dumps(data)) == data
    assert config_from_dict(RunConfig, data) == config


@given(configs)
def test_what_describe_fields_prints_can_be_typed_back(config):
    typed = [(name, value) for name, _, value, _ in describe_fields(config) if name != "agent.names"]
    typed_back = apply_overrides(RunConfig(agent=AgentConfig(names=config.agent.names)), typed)
    assert typed_back.agent.policy == config.agent.policy
    assert (typed_back.seed, typed_back.agent.mode) == (config.seed, config.agent.mode)
    assert typed_back.agent.max_kl == config.agent.max_kl


@pytest.mark.parametrize(
    "name, text, path, value",
    [
        ("inner-lr", "0.05", "agent.inner_lr", 0.05),
        ("agent.inner_lr", "1", "agent.inner_lr", 1.0),
        ("policy.hidden", "128,128", "agent.policy.hidden", (128, 128)),
        ("agent.policy.hidden", "(32, 16)", "agent.policy.hidden", (32, 16)),
        ("critic.hidden", "", "critic.hidden", ()),
        ("critic.hidden", "(8,)", "critic.hidden", (8,)),
        ("names", "a,b", "agent.names", ("a", "b")),
        ("box", "-1.5,3", "agent.box", (-1.5, 3)),
        ("max_kl", "none", "agent.max_kl", None),
        ("max_kl", "0.02", "agent.max_kl", 0.02),
        ("mode", "ppo", "agent.mode", "ppo"),
        ("mode", "3", "agent.mode", 3),
        ("first_order", "true", "agent.first_order", True),
        ("first_order", "OFF", "agent.first_order", False),
        ("seed", "7", "seed", 7),
        ("env_name", "none", "env_name", "none"),
        ("no_op_steps", "4", "no_op_steps", 4),
    ],
)
def test_override(name, text, path, value):
    config = apply_overrides(RunConfig(), [(name, text)])
    changed = config
    for part in path.split("."):
        changed = getattr(changed, part)
    assert changed == value and type(changed) is type(value)
    before, after = (dict(_flat(config_to_dict(c))) for c in (RunConfig(), config))
    assert {key for key in before if before[key] != after[key]} <= {path}


def _flat(data, prefix=""):
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def test_no_prefix_turns_a_bool_off():
    on = RunConfig(agent=AgentConfig(first_order=True))
    assert apply_overrides(on, [("no-first-order", "true")]).agent.first_order is False


def test_later_pairs_win_and_rules_see_the_final_values():
    config = apply_overrides(RunConfig(), [("low", "20"), ("high", "15"), ("high", "30")])
    assert (config.low, config.high) == (20, 30)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("iner_lr", "1", r"unknown field 'iner_lr' \(did you mean 'inner_lr'\?\)"),
        ("no_inner_lr", "true", "unknown field 'no_inner_lr'"),
        ("hidden", "1", "ambiguous; give one of agent.policy.hidden, critic.hidden"),
        ("policy", "1", "'policy' is a group of fields; give one of agent.policy.hidden"),
        ("seed", "1.5", "seed='1.5' must be int"),
        ("seed", "true", "seed='true' must be int"),
        ("inner_lr", "fast", "agent.inner_lr='fast' must be float"),
        ("inner_lr", "nan", "agent.inner_lr='nan' must be float and NaN is none"),
        ("first_order", "2", "agent.first_order='2' must be bool"),
        ("mode", "trop", r"agent.mode='trop' must be 'trpo' \| 'ppo' \| 3 \(did you mean 'trpo'\?\)"),
        ("max_kl", "x", r"agent.max_kl='x' must be float \| None"),
        ("critic.hidden", "1,x", r"critic.hidden='1,x' must be tuple\[int, \.\.\.\]"),
        ("box", "1,2,3", r"agent.box='1,2,3' must be tuple\[float, int\]"),
        ("inner_lr", "-1", "inner_lr=-1.0 must be > 0; pick a positive step size"),
        ("low", "11", "low=11 must be <= high=10"),
    ],
)
def test_bad_override(name, text, message):
    with pytest.raises(UserError, match=message) as raised:
        apply_overrides(RunConfig(), [(name, text)])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "data, message",
    [
        ({"sed": 1}, r"unknown field 'sed' \(did you mean 'seed'\?\)"),
        ({"agent": {"policy": {"hiden": []}}}, r"unknown field 'agent.policy.hiden' \(did you mean 'hidden'"),
        ({"seed": "1"}, "seed: Expected `int`, got `str`"),
        ({"seed": True}, "seed: Expected `int`, got `bool`"),
        ({"agent": {"policy": {"hidden": [1, "x"]}}}, r"agent.policy.hidden\[1\]: Expected `int`"),
        ({"agent": 3}, "agent: Expected `object`"),
        ({"agent": {"inner_lr": -1.0}}, "agent: inner_lr=-1.0 must be > 0"),
        ({"agent": {"mode": "sac"}}, "agent.mode: Invalid enum value 'sac'"),
    ],
)
def test_bad_data(data, message):
    with pytest.raises(UserError, match=message):
        config_from_dict(RunConfig, data)


def test_non_finite_fields_cannot_be_stored():
    with pytest.raises(UserError, match=r"agent\.policy\.init_std=inf must be finite"):
        config_to_dict(RunConfig(agent=AgentConfig(policy=PolicyConfig(init_std=float("inf")))))


def test_describe_fields():
    described = {name: rest for name, *rest in describe_fields(RunConfig())}
    assert described["seed"] == ["int", "1", "Of everything."]  # from the parent class
    assert described["agent.inner_lr"] == ["float > 0", "0.1", "Step size of adaptation,\nper step."]
    assert described["agent.policy.hidden"] == ["tuple[int, ...]", "64,64", "Width of each layer."]
    assert described["agent.first_order"] == ["bool", "false", ""]
    assert described["agent.max_kl"] == ["float | None", "0.01", ""]
    assert next(iter(described)) == "seed"


def test_describe_fields_without_source():
    namespace = {"dataclass": dataclass, "__name__": __name__}
    exec("@dataclass(frozen=True)\nclass Typed:\n    x: int = 3\n    'Lost.'", namespace)
    assert describe_fields(namespace["Typed"]()) == [("x", "int", "3", "")]


@dataclass(frozen=True, kw_only=True)
class Interval:
    low: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Varied:
    vary: dict[str, Interval] = field(default_factory=dict)


def test_a_dict_of_dataclasses_has_the_users_keys_and_checked_values():
    config = Varied(vary={"gravity": Interval(low=5.0)})
    data = config_to_dict(config)
    assert config_from_dict(Varied, data) == config
    data["vary"]["gravity"]["lwo"] = 1.0
    with pytest.raises(UserError, match=r"unknown field 'vary\.gravity\.lwo'.*low"):
        config_from_dict(Varied, data)


@dataclass(frozen=True, kw_only=True)
class OneOf:
    first: PolicyConfig = field(default_factory=PolicyConfig)
    second: PolicyConfig = field(default_factory=PolicyConfig)


@dataclass(frozen=True, kw_only=True)
class ChosenConfig:
    method: Literal["first", "second"] = "first"
    methods: OneOf = field(default_factory=OneOf)


def test_a_name_means_the_setting_of_the_chosen_method():
    chosen = apply_overrides(ChosenConfig(), [("seed", "3")])
    assert chosen.methods.first.seed == 3 and chosen.methods.second.seed == 0
    for pairs in ([("method", "second"), ("seed", "3")], [("seed", "3"), ("method", "second")]):
        chosen = apply_overrides(ChosenConfig(), pairs)
        assert chosen.methods.first.seed == 0 and chosen.methods.second.seed == 3
    assert apply_overrides(ChosenConfig(), [("methods.second.seed", "3")]).methods.second.seed == 3
    with pytest.raises(UserError, match="unknown field 'sed'"):
        apply_overrides(ChosenConfig(), [("sed", "3")])


@dataclass(frozen=True)
class Holding:
    thing: object


def test_what_json_cannot_hold_is_named():
    class Mine:
        pass

    with pytest.raises(UserError, match=r"thing is a Mine, which JSON cannot hold.*make it a frozen dataclass"):
        config_to_dict(Holding(Mine()))
    with pytest.raises(UserError, match=r"thing\.inner\.1\.thing is a Mine, which JSON cannot hold"):
        config_to_dict(Holding({"inner": [1, Holding(Mine())]}))


class Mode(Enum):
    HARD = "hard"


class Level(IntEnum):
    HARD = 1


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (Mode.HARD, "thing=<Mode.HARD: 'hard'> would come back from config.json as 'hard'; give numbers, texts"),
        ({"a": [(1, 2)]}, "thing.a[0]=(1, 2) would come back from config.json as [1, 2]"),
        ({1: 2}, "the key 1 of thing would come back from config.json as a text"),
        (b"abc", "thing=b'abc' would come back from config.json as 'YWJj'"),
    ],
)
def test_what_json_gives_back_as_something_else_is_named(thing: object, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_stored(Holding(thing))
    assert str(caught.value).startswith(said)


@dataclass(frozen=True, kw_only=True)
class OwnPolicy(PolicyConfig):
    pass


def test_a_config_that_its_types_bring_back_may_be_stored():
    check_stored(RunConfig(agent=AgentConfig(inner_lr=1, policy=OwnPolicy(seed=3)), low=7))  # a whole number as a float
    check_stored(Holding({"a": [1, 2.5, None, "b"]}))
    with pytest.raises(UserError, match=r"agent\.policy\.seed=.*HARD.* would come back"):
        check_stored(RunConfig(agent=AgentConfig(policy=OwnPolicy(seed=Level.HARD))))


@all_fields(MAY_DIFFER)
@dataclass(frozen=True)
class Scoring:
    episodes: int = 1
    workers: int = field(default=1, metadata={WITHOUT_EFFECT: True})


@dataclass(frozen=True)
class Whole:
    scoring: Scoring = Scoring()
    workers: int = 2
    iterations: int = field(default=3, metadata={MAY_DIFFER: True})


def test_marks_are_collected_from_where_fields_are_defined():
    assert marked_names(Whole(), MAY_DIFFER) == {"scoring", "iterations"}
    assert marked_names(Whole(), WITHOUT_EFFECT) == {"scoring.workers"}
    assert marked_values(Whole(), MAY_DIFFER) == {"scoring": {"episodes": 1, "workers": 1}, "iterations": 3}


@pytest.mark.parametrize(
    ("name", "found"),
    [("scoring.workers", True), ("scoring", True), ("workers", False), ("agent.scoring", False), ("scorings", False)],
)
def test_a_name_is_marked_by_its_whole_path_or_its_group(name, found):
    assert is_one_of(name, {"scoring", "trainer.iterations"}) is found


def test_a_field_of_any_type_takes_no_text():
    @dataclass(frozen=True)
    class Config:
        env: Any = None

    with pytest.raises(UserError, match="env takes no text \\('Ant-v5'\\); set it in an experiment file"):
        apply_overrides(Config(), [("env", "Ant-v5")])
