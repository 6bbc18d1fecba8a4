"""A model card in Markdown, as the hub shows it."""

from __future__ import annotations

from metarl.zoo.card import Card, Score

PAGE = "README.md"


def page(card: Card, repository: str) -> str:
    """With the front matter that the hub reads."""
    rows = [row(score, card) for score in last_scores(card)]
    return f"""---
license: {card.licence.lower()}
library_name: metarl
tags: [metarl, meta-learning, reinforcement-learning, robotics]
---

# {card.name}

{card.about}

Trained by `metarl train {card.experiment}` with seed {card.seed}: {card.iterations} meta-updates,
{card.training_env_steps:,} env steps, {card.training_seconds / 60:.0f} minutes. Weights are in 16 bits, and the scores
are theirs.

```console
$ metarl zoo pull {repository}
$ metarl evaluate zoo:{repository}
```

| policy | tasks | condition | measure | steps of adaptation | mean | 95 % interval |
| --- | --- | --- | --- | --- | --- | --- |
{chr(10).join("| " + " | ".join(cells) + " |" for cells in rows)}

{" ".join(card.notes)}
"""


def last_scores(card: Card) -> list[Score]:
    """After the most steps of adaptation."""
    last: dict[tuple[str, ...], Score] = {}
    for score in card.scores:
        key = (score.policy, score.suite, score.condition, score.measure)
        if key not in last or score.steps > last[key].steps:
            last[key] = score
    return list(last.values())


def row(score: Score, card: Card) -> tuple[str, ...]:
    """Of a table of scores."""
    tasks = f"{score.suite} ({card.tasks.get(score.suite, 0)})".strip()
    interval = f"{number(score, score.low)} to {number(score, score.high)}"
    words = (score.policy, tasks, score.condition, score.measure.replace("_", " "), str(score.steps))
    return (*words, number(score, score.mean), interval)


def number(score: Score, value: float) -> str:
    """A score in the card's words: shares in percent."""
    is_share = score.measure.startswith("success") or score.measure == "accuracy"
    return f"{value:.1%}" if is_share else f"{value:.4g}"
