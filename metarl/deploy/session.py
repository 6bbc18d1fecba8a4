"""One robot's life with one task: it acts, observes what came of it, and adapts.

    session = agent.session()
    action = session.act(obs)
    session.observe(*env.step(action))
    session.adapt()

The same code acts and adapts here as in the rollout workers, by the same seeds: a test holds a session's episodes to
the pool's, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from metarl.errors import NonFiniteError, UserError, sentence_of
from metarl.learn import params as P
from metarl.learner import ActorInput, RLBehaviour
from metarl.rollout.buffer import Arrays, check_episodes, new_arrays, to_episodes
from metarl.rollout.collect import explorer_of
from metarl.rollout.lockstep import draw_noise, tell_begun
from metarl.runs.adapted import save_session
from metarl.seeding import SeedKey, checked_key
from metarl.types import Episodes, Phi, join_episodes_of_task
from metarl.whole import Count

FOLDED = 10
"""Episodes that an agent with a memory keeps before they become part of its phi."""


class Session:
    """Made by `Agent.session`."""

    def __init__(
        self,
        behaviour: RLBehaviour,
        *,
        sampled: bool | None,
        rounds: int | None,
        seed: SeedKey,
        shown: Sequence[float],
        to_obs: Callable[[Any], NDArray],
        to_action: Callable[[NDArray], Any],
    ) -> None:
        self._behaviour, self._sampled, self._seed = behaviour, sampled, checked_key(seed)
        self._max_rounds = behaviour.adaptation_rounds if rounds is None else rounds
        self.shown = tuple(shown)
        """What sets the task apart, at the end of each observation."""
        self._to_obs, self._to_action = to_obs, to_action
        self.phi: Phi = behaviour.prior()
        """What adaptation made of the prior so far."""
        self.rounds = 0
        """Of adaptation."""
        self._episodes: list[Episodes] = []
        """Whole ones that phi does not know of yet."""
        self.num_episodes = 0
        """Whole ones, those of before a `save` among them."""
        self._start()

    def __repr__(self) -> str:
        state = f"{self.num_episodes} episodes, {self.rounds} rounds of adaptation"
        return f"Session({type(self._behaviour).__name__}, {state}, {'' if self.is_learning else 'not '}learning)"

    @property
    def adapts(self) -> bool:
        """From whole episodes, when `adapt` is called: by a gradient step, or in what it believes of the task."""
        return self._behaviour.adaptation_rounds > 0

    @property
    def is_learning(self) -> bool:
        """Whether what is observed still changes how it acts."""
        return self._behaviour.keeps_memory or self.rounds < self._max_rounds

    @property
    def is_sampled(self) -> bool:
        return self.is_learning if self._sampled is None else self._sampled

    @torch.inference_mode()
    def act(self, obs: Any) -> Any:
        """The env's action for its own observation. While it learns, each action is observed before the next.

        Raises UserError for an observation of another size or with a NaN, and where an action was not observed.
        """
        if self._awaits and self.is_learning:
            raise UserError("act was called twice without observe between; tell the session what came of each action")
        self._obs[0] = self._checked(obs)
        if self._step == 0:
            self._begin_episode()
        which = self._step % len(self._noise)
        if which == 0 and self._step:
            self._noise = next(self._noise_of)
        inputs = ActorInput(*map(torch.from_numpy, (self._obs, self._prev_action, self._prev_reward, self._prev_ended)))
        noise = torch.from_numpy(self._noise[which : which + 1])
        action, log_prob, self._memory = self._actor.act(self._memory, inputs, noise)
        self._action, self._log_prob, self._awaits = action.numpy()[0], log_prob, True
        if not self.is_learning:
            self._step += 1
        return self._to_action(self._action)

    def observe(
        self,
        obs: Any,
        reward: float,
        terminated: bool,
        truncated: bool = False,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        """What came of the last action, as a gymnasium env's `step` returns it.

        `terminated`: the task is over; `truncated`: a time limit, or you, end the episode here; else it goes on, behind
        the horizon of the training too. Of `info`, `success` alone is kept. Raises UserError, and is as before, for
        what is no number or no truth value.
        """
        if not self._awaits:
            raise UserError("observe was called before act; it takes what came of an action")
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, bool | np.bool_ | int) or flag not in (0, 1):
                raise UserError(f"{name}={flag!r} must be True or False, as a gymnasium env's step returns it")
        if not self.is_learning:
            self._awaits = False
            if terminated or truncated:
                self._end_episode()
            return
        row = self._checked(obs)
        if not isinstance(reward, int | float | np.number) or not np.isfinite(reward):
            raise NonFiniteError(f"reward={reward!r} must be a finite number; look at what measures it")
        if not isinstance(info, Mapping | None):
            raise UserError(f"info={info!r:.60} must be a dict, as a gymnasium env's step returns it, or left out")
        self._record(float(reward), bool(terminated), bool((info or {}).get("success", False)))
        self._awaits = False
        self._step += 1
        ended = bool(terminated or truncated)
        self._prev_action[0], self._prev_reward[0], self._prev_ended[0] = self._action, reward, ended
        if ended:
            self._arrays["truncated"][0, self._step - 1] = not terminated
            self._arrays["last_obs"][0] = row
            self._keep(to_episodes(self._arrays, slice(0, 1)))
            self._end_episode()

    @property
    def in_episode(self) -> bool:
        return self._step > 0 or self._awaits

    def drop_episode(self) -> int:
        """Forget the episode under way, with an action that was not observed, as after a stop by hand; its steps.

        The session is as it was when the episode began, its memory and the noise of its next actions included.
        """
        dropped = self._step
        if self.in_episode:
            self._memory, previous = self._at_begin
            self._prev_action[0], self._prev_reward[0], self._prev_ended[0] = previous
            self._step, self._awaits = 0, False
        return dropped

    def adapt(self) -> int:
        """Adapt once to the whole episodes since the last time, as the agent was trained to; how many they were.

        An agent with a memory has adapted while it acted, and this changes nothing. Raises UserError within an episode,
        without one, for an agent that does not adapt, and after the last round.
        """
        if self.in_episode:
            raise UserError(
                f"adapt was called at step {self._step} of an episode, and it learns from whole ones; end it first "
                f"with observe(..., truncated=True), as training did after {self._behaviour.spec.horizon_steps} steps, "
                "or forget it with drop_episode()"
            )
        if self._behaviour.keeps_memory:
            return self.num_episodes
        if not self.adapts:
            raise UserError("this agent does not adapt; act with it as it is")
        if not self.is_learning:
            raise UserError(
                f"adapt was called again after {self.rounds} of {self._max_rounds} rounds, and no episode since then "
                f"was kept; make the session with rounds={self.rounds + 1} or more"
            )
        if not self._episodes:
            raise UserError("adapt was called before an episode had ended since the last one; let it act in some")
        used = len(self._episodes)
        self.phi = self._adapted()
        self.rounds, self._episodes = self.rounds + 1, []
        self._start()
        return used

    def save(self, directory: Path | str) -> None:
        """What `Agent.session(adapted=DIRECTORY)` goes on from, between two episodes. Raises UserError."""
        if self.in_episode:
            raise UserError(
                f"save was called at step {self._step} of an episode; end it first with observe(..., truncated=True), "
                "or forget it with drop_episode()"
            )
        if self._behaviour.keeps_memory and self._episodes:
            self.phi, self._episodes = self._adapted(), []
        save_session(
            Path(directory),
            self.phi,
            [dict(vars(episodes)) for episodes in self._episodes],
            {"rounds": self.rounds, "episodes": self.num_episodes, "seed": list(self._seed)},
        )

    def restore(self, state: tuple[Phi, Sequence[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """phi, the episodes that it does not know of, and the record of an earlier session or of `metarl adapt`.

        Raises UserError for a state of another agent, or one that no session saved: it may be anybody's.
        """
        phi, episodes, record = state
        try:
            P.check_tensors_match(self._behaviour.prior(), phi if isinstance(phi, dict) else {}, what="phi")
        except UserError as error:
            raise UserError(f"what was saved is of another agent: {error}") from error
        try:
            kept = [Episodes(**fields) for fields in episodes]
            for episode in kept:
                check_episodes(episode, self._behaviour.spec)
            rounds, num_episodes = (msgspec.convert(record.get(name, 0), Count) for name in ("rounds", "episodes"))
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(f"what was saved is damaged ({error!s:.200}); adapt the agent anew") from error
        self.phi, self._episodes, self.rounds, self.num_episodes = phi, kept, rounds, num_episodes
        self._start()

    def _adapted(self) -> Phi:
        return self._behaviour.adapt([self.phi], [join_episodes_of_task(self._episodes)])[0]

    def _start(self) -> None:
        """Act with phi from here on."""
        behaviour, spec = self._behaviour, self._behaviour.spec
        explores = self.is_sampled and self.is_learning  # as in meta-training
        self._actor = explorer_of(behaviour) if explores else behaviour.actor(deterministic=not self.is_sampled)
        self._memory = self._actor.start([self.phi], 1)
        self._arrays: Arrays = new_arrays(spec, 1, spec.first_steps)
        self._obs = np.zeros((1, spec.obs_dim), np.float32)
        self._prev_action = np.zeros_like(self._arrays["actions"][:, 0])
        self._prev_reward, self._prev_ended = np.zeros(1, np.float32), np.zeros(1, np.bool_)
        self._step, self._awaits = 0, False
        self._noise = np.zeros((spec.first_steps, self._actor.noise_dim), np.float32)

    def _begin_episode(self) -> None:
        self._at_begin = self._memory, (self._prev_action[0].copy(), self._prev_reward[0], self._prev_ended[0])
        self._noise_of = draw_noise(self._actor, self._key, self._behaviour.spec.first_steps)
        self._noise = next(self._noise_of)
        self._memory = tell_begun(self._actor, self._memory, {0: self._key})

    @property
    def _key(self) -> SeedKey:
        """Of the episode: the job's seed and the episode's number, as in the rollout workers."""
        return (*self._seed, self.num_episodes)

    def _record(self, reward: float, terminated: bool, success: bool) -> None:
        arrays, now = self._arrays, self._step
        if now == 0:
            for array in arrays.values():
                array[...] = 0
        if now == arrays["mask"].shape[1]:
            arrays = self._grow()
        arrays["obs"][0, now], arrays["actions"][0, now] = self._obs[0], self._action
        arrays["log_probs"][0, now], arrays["rewards"][0, now] = self._log_prob.item(), reward
        arrays["terminated"][0, now], arrays["success"][0, now], arrays["mask"][0, now] = terminated, success, True

    def _grow(self) -> Arrays:
        """Longer arrays that hold what was recorded of the episode, behind the horizon too."""
        old = self._arrays
        steps = old["mask"].shape[1]
        self._arrays = new_arrays(self._behaviour.spec, 1, 2 * steps)
        for name, array in old.items():
            self._arrays[name][:, :steps] = array  # last_obs as well: its second axis is shorter
        return self._arrays

    def _keep(self, episodes: Episodes) -> None:
        self._episodes.append(episodes)
        if self._behaviour.keeps_memory and len(self._episodes) == FOLDED:
            self.phi, self._episodes = self._adapted(), []

    def _end_episode(self) -> None:
        self.num_episodes += 1
        self._step, self._awaits = 0, False

    def _checked(self, obs: ArrayLike) -> NDArray[np.float32]:
        """(O,), with what sets the task apart where the agent is shown it."""
        wanted = self._behaviour.spec.obs_dim
        try:
            given = np.asarray(self._to_obs(obs), np.float32).reshape(-1)
        except Exception as error:  # the conversion is by the env's own space, which may ask anything of it
            raise UserError(
                f"an observation is {obs!r:.60}, which is not made of {wanted} numbers ({sentence_of(error)}); give "
                "what the env's reset and step return"
            ) from error
        if self.shown and len(given) == wanted - len(self.shown):
            given = np.concatenate([given, np.asarray(self.shown, np.float32)])
        if len(given) != wanted:
            told = f", or {wanted - len(self.shown)} before the task's own" if self.shown else ""
            raise UserError(f"an observation has {len(given)} numbers and must have {wanted}{told}; look at the env")
        if not np.isfinite(given).all():
            where = int(np.flatnonzero(~np.isfinite(given))[0])
            raise NonFiniteError(f"number {where} of an observation is {given[where]}; look at its sensor")
        return given
