"""What the golden runs train: every agent and few-shot method, each memory, Meta-World, in a few iterations.

A case is the words after `metarl train`. It goes through the command line alone, so that no case knows how the package
is arranged inside.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

HERE = Path(__file__).parent

SMALL = [
    *("--iterations", "3", "--meta-batch-size", "4", "--workers", "0", "--device", "cpu"),
    *("--eval-every-iterations", "2", "--test-episodes", "2", "--adaptation-episodes", "3", "--max-tasks", "3"),
]
EPISODES = ["--support-episodes", "4", "--query-episodes", "4"]
TRIALS = ["--query-episodes", "2", "--epochs", "2"]
LONG = ["--meta-batch-size", "2", "--test-episodes", "1", "--max-tasks", "2", "--adaptation-rounds", "1"]
"""For episodes of 200 steps and more."""
REPLAY = [
    *("--query-episodes", "1", "--warmup-steps", "0", "--batch-size", "32", "--replay-ratio", "0.5", "--threads", "1"),
    *("--actor-hidden", "16,16", "--critic-hidden", "16,16", "--log-every-iterations", "1", "--precision", "float32"),
]
FEW_SHOT = [
    *("--iterations", "3", "--meta-batch-size", "2", "--num-episodes", "4", "--log-every-iterations", "1"),
    *("--eval-every-iterations", "2", "--device", "cpu"),
]
SUITES = ["--ways", "3", "--queries", "3", "--suites", "3w1s", "--test-queries", "3"]

GRADIENT_AGENTS = ("maml", "fomaml", "anil", "meta_sgd", "e_maml", "promp", "reptile")
METHODS = (
    *("maml", "anil", "meta_sgd", "reptile", "prototypical", "matching", "siamese", "relation", "ridge", "transfer"),
    "nearest_centroid",
)
REGRESSION = ("maml", "anil", "meta_sgd", "reptile")


def cases(data: Path) -> dict[str, list[str]]:
    """The words of each case by its name; `data` is a folder for the files that some of them read."""
    found: dict[str, list[str]] = {}
    for agent in GRADIENT_AGENTS:
        found[f"navigation {agent}"] = [f"navigation_{agent}", *SMALL, *EPISODES]
    found["navigation maml 2 steps"] = [*found["navigation maml"], "--inner-steps", "2", "--judge-every-step"]
    found["navigation meta_sgd 2 steps"] = [*found["navigation meta_sgd"], "--inner-steps", "2", "--per-step"]
    for baseline in ("multi_task_ppo", "fine_tune", "from_scratch"):
        found[f"navigation {baseline}"] = [f"navigation_{baseline}", *SMALL, "--query-episodes", "4"]
    for memory in ("gru", "lstm", "attention"):
        found[f"navigation rl2 {memory}"] = ["navigation_rl2", *SMALL, *TRIALS, "--memory", memory]
    found["navigation rl2 inputs"] = [
        *found["navigation rl2 gru"],
        *("--normalize-inputs", "--input-changes", "--encoder", "16", "--max-kl", "0.05", "--episode-ends", "cut"),
    ]
    found["navigation rl2 overlap"] = [*found["navigation rl2 gru"], "--overlap"]
    found["navigation maml overlap"] = [*found["navigation maml"], "--overlap"]
    found["bandit rl2"] = ["bandit_rl2", *SMALL, "--query-episodes", "5"]
    found["navigation random"] = [str(HERE / "random_navigation.py"), *SMALL, *EPISODES]
    found["ml1 reach maml"] = ["ml1_reach_maml", *SMALL, *EPISODES, *LONG]
    found["ml1 push rl2"] = ["ml1_push_rl2", *SMALL, *TRIALS, *LONG, "--hidden-dim", "16"]
    found["ml10 rl2"] = ["ml10_rl2", *SMALL, *TRIALS, *LONG, "--hidden-dim", "16"]
    found["cheetah vel maml"] = ["cheetah_vel_maml", *SMALL, *EPISODES, *LONG]
    found["cartpole maml"] = ["cartpole_maml", *SMALL, *EPISODES]
    found["pendulum maml"] = ["pendulum_maml", *SMALL, *EPISODES, *LONG]
    found["pendulum sac"] = ["pendulum_sac", *SMALL, *REPLAY, *LONG]
    found["pendulum sac scalar"] = [*found["pendulum sac"], "--value", "scalar", "--no-layer-norm", "--overlap"]
    found["navigation pearl"] = [
        *("navigation_pearl", *SMALL, "--warmup-steps", "0", "--replay-ratio", "0.5", "--tasks-per-step", "4"),
        *("--rows-per-task", "8", "--context-steps", "20", "--encoder-hidden", "16", "--actor-hidden", "16"),
        *("--critic-hidden", "16", "--precision", "float32", "--log-every-iterations", "1"),
    ]
    found["mt10 sac"] = ["mt10_sac", *SMALL, *REPLAY, *LONG]
    short = ["--sequence", "custom", "--env-names", "reach-v3,push-v3", "--horizon-steps", "40", "--max-tasks", "4"]
    for name in ("cw10_sac", "cw10_sac_replay"):
        budget = ["--iterations", "4", "--steps-per-task", "160"]
        found[name.replace("_", " ")] = [name, *SMALL, *REPLAY, *LONG, *short, *budget]
    found["navigation maml pink"] = [*found["navigation maml"], "--noise-exponent", "1", "--anneal-noise-updates", "2"]

    images, vectors, texts = write_data(data)
    for method in METHODS:
        chosen = [*FEW_SHOT, *SUITES, "--method", method]
        found[f"images {method}"] = [
            *("arrays", *chosen, "--file", str(images)),
            *([] if method == "nearest_centroid" else ["--norm", "batch", "--filters", "8", "--layers", "2"]),
        ]
        found[f"vectors {method}"] = ["arrays", *chosen, "--file", str(vectors)]
        own_texts = ["--file", str(texts), "--dimensions", "512", "--min-examples", "8"]
        found[f"texts {method}"] = ["intents", *chosen, *own_texts]
    image_maml = found["images maml"]
    found["images maml first order"] = [*image_maml, "--first-order"]
    found["images maml support statistics"] = [*image_maml, "--query-statistics", "support"]
    found["images maml loop"] = [*image_maml, "--backend", "loop"]
    found["images transfer fine-tuned"] = [*found["images transfer"], "--head", "fine_tune", "--fine-tune-steps", "5"]
    found["images matching full context"] = [*found["images matching"], "--full-context"]
    for method in REGRESSION:
        found[f"sinusoid {method}"] = [str(HERE / "sinusoid_methods.py"), *FEW_SHOT, "--method", method]
    return found


def write_data(directory: Path) -> tuple[Path, Path, Path]:
    """Images and vectors of handwritten digits and texts of made-up commands, the same at every call."""
    digits = load_digits()
    keep = np.concatenate([np.flatnonzero(digits.target == label)[:12] for label in range(10)])
    images, vectors, texts = (directory / name for name in ("images.npz", "vectors.npz", "texts.csv"))
    x = (digits.images[keep] / 16).astype(np.float32)
    y = np.array([f"digit {label}" for label in digits.target[keep]])
    np.savez(images, X=x[:, None], y=y)
    np.savez(vectors, X=x.reshape(len(x), -1), y=y)
    rng = np.random.default_rng(0)
    verbs = ("lift", "drop", "turn", "push", "open", "close", "find", "clean", "count", "weigh")
    things = np.array(["cup", "door", "red box", "drawer", "lamp", "peg", "valve", "plate", "bolt", "cable"])
    lines = ["text,label"]
    for verb in verbs:
        for i, thing in enumerate(rng.permutation(things)):
            lines.append(f"please {verb} the {thing} number {i},{verb}")
    texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return images, vectors, texts
