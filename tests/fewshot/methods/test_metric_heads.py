"""How each metric method compares, against the formula worked out by hand or by a slow reference."""

import math

import pytest
import torch

from metarl.fewshot.methods.matching import Attention, FullContext, cosines
from metarl.fewshot.methods.metric import Embedded, class_means
from metarl.fewshot.methods.prototypical import Prototypes, squared_distances
from metarl.fewshot.methods.relation import START, RelationScore
from metarl.fewshot.methods.ridge import RidgeRegression
from metarl.fewshot.methods.siamese import PairVerification
from metarl.fewshot.methods.transfer import CentroidHead, FineTunedHead
from metarl.seeding import torch_rng
from metarl.types import Task

SUPPORT = torch.tensor([[[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]]])  # (1, 3, 2)
Y = torch.tensor([[0, 0, 1]])
QUERY = torch.tensor([[[1.0, 1.0]]])


def random_batch(dim=5, seed=0, tasks=2, ways=3, shots=2, queries=4):
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(ways).repeat(shots).expand(tasks, -1)
    query_y = torch.randint(ways, (tasks, queries), generator=rng)
    support, query = (torch.randn(tasks, n, dim, generator=rng) for n in (ways * shots, queries))
    params = [{"train_classes": [2, 0, 5]}, {"train_classes": [1, 3, 4]}]
    return Embedded([Task("t", p) for p in params], ways, support, y, query, query_y)


def test_class_means_by_hand():
    assert class_means(SUPPORT, Y, 2).tolist() == [[[1, 0], [0, 4]]]


def test_prototypical_scores_by_hand():
    """Prototypes (1, 0) and (0, 4); the query (1, 1) is 1 and 1 + 9 away, squared."""
    head = Prototypes()
    assert head.scores({}, head.condense({}, SUPPORT, Y, 2), QUERY).tolist() == [[[-1, -10]]]


def test_prototypical_loss_by_hand():
    """-log(e^-1 / (e^-1 + e^-10))."""
    batch = Embedded([], 2, SUPPORT, Y, QUERY, torch.tensor([[0]]))
    loss, accuracy = Prototypes().loss({}, batch)
    assert float(loss) == pytest.approx(math.log(1 + math.exp(-9)), abs=1e-6) and accuracy == 1


def test_distances_equal_cdist():
    batch = random_batch()
    expected = torch.cdist(batch.query, batch.support).square()
    torch.testing.assert_close(squared_distances(batch.query, batch.support), expected, atol=1e-5, rtol=1e-5)


def test_ridge_by_hand():
    """Orthogonal examples of length 2, penalty 0.5 * 4: each class answers 4 / (4 + 2) to its own example."""
    head = RidgeRegression(penalty=0.5, scale=3.0)
    support, y = 2 * torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]])
    params = head.init(2, torch_rng((0,)))
    scores = head.scores(params, head.condense(params, support, y, 2), support)
    torch.testing.assert_close(scores, 3 * torch.eye(2).unsqueeze(0) * 2 / 3)


def test_ridge_equals_scikit_learns():
    from sklearn.linear_model import Ridge

    head, batch = RidgeRegression(penalty=0.3, scale=1.0), random_batch(dim=5)
    params = head.init(5, torch_rng((0,)))
    scores = head.scores(params, head.condense(params, batch.support, batch.support_y, 3), batch.query)
    for i in range(len(batch.support)):
        x = batch.support[i].double()
        penalty = 0.3 * float(x.square().sum(1).mean())
        reference = Ridge(alpha=penalty, fit_intercept=False).fit(x, torch.nn.functional.one_hot(batch.support_y[i]))
        expected = torch.from_numpy(reference.predict(batch.query[i].double()))
        torch.testing.assert_close(scores[i].double(), expected, atol=1e-5, rtol=1e-5)


def test_ridge_gradients_flow_through_the_solution():
    head, batch = RidgeRegression(), random_batch(dim=4)
    params = {name: p.double() for name, p in head.init(4, torch_rng((0,))).items()}

    def loss(support, query, log_penalty, log_scale):
        own = {"log_penalty": log_penalty, "log_scale": log_scale}
        moved = Embedded(batch.tasks, batch.ways, support, batch.support_y, query, batch.query_y)
        return head.loss(own, moved)[0]

    inputs = (batch.support.double(), batch.query.double(), params["log_penalty"], params["log_scale"])
    assert torch.autograd.gradcheck(loss, tuple(x.requires_grad_() for x in inputs))


def test_matching_attention_by_hand():
    """Cosines of (1, 1) with (1, 0), (0, 2), (3, 3) are 1/sqrt 2, 1/sqrt 2, 1; class 0 has the first two."""
    support = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]])
    head = Attention(temperature=0.5)
    phi = head.condense({}, support, Y, 2)
    weights = [math.exp(c / 0.5) for c in (0.5**0.5, 0.5**0.5, 1.0)]
    attention = head.attention({}, phi, QUERY)[0, 0]
    torch.testing.assert_close(attention, torch.tensor(weights) / sum(weights))
    scores = head.scores({}, phi, QUERY)[0, 0]
    torch.testing.assert_close(scores.softmax(-1), torch.stack([attention[:2].sum(), attention[2]]))
    torch.testing.assert_close(scores, torch.tensor([weights[0] + weights[1], weights[2]]).log())


def test_a_query_unlike_all_examples_has_low_scores_in_matching_networks():
    """Its attention is shares of 1 as any other's, so their logarithms could not tell it from one of a class."""
    support, queries = torch.eye(3)[None, :2], torch.tensor([[[1.0, 0.0, 0.1], [0.1, 0.1, 9.0]]])
    head = Attention(temperature=0.1)
    largest = head.scores({}, head.condense({}, support, torch.tensor([[0, 1]]), 2), queries).max(-1).values[0]
    assert largest[0] > 9 and largest[1] < 1


def test_cosines_equal_torchs():
    batch = random_batch()
    expected = torch.nn.functional.cosine_similarity(batch.query.unsqueeze(2), batch.support.unsqueeze(1), dim=-1)
    torch.testing.assert_close(cosines(batch.query, batch.support), expected)


def test_the_bidirectional_lstm_equals_torchs():
    """g(x) is torch's bidirectional LSTM over the support set, both directions added, plus x itself."""
    head, batch = FullContext(Attention(1.0), 5, 3), random_batch()
    params = head.init(5, torch_rng((0,)))
    reference = torch.nn.LSTM(5, 5, batch_first=True, bidirectional=True)
    for cell, suffix in (("forward", ""), ("backward", "_reverse")):
        for ours, theirs in {"w_in": "weight_ih", "w_rec": "weight_hh", "b_in": "bias_ih", "b_rec": "bias_hh"}.items():
            vars(reference)["_parameters"][f"{theirs}_l0{suffix}"] = torch.nn.Parameter(params[f"{cell}.{ours}"])
    with torch.no_grad():
        both, _ = torch._VF.lstm(
            batch.support,
            (torch.zeros(2, 2, 5), torch.zeros(2, 2, 5)),
            list(reference._parameters.values()),
            *(True, 1, 0.0, False, True, True),
        )[:2]
    expected = batch.support + both[..., :5] + both[..., 5:]
    in_order = batch.support_y.sort().values
    torch.testing.assert_close(head.condense(params, batch.support, in_order, 3)["support"], expected)


def test_the_attention_lstm_equals_its_equations_one_query_at_a_time():
    head, batch = FullContext(Attention(1.0), 5, 3), random_batch(tasks=1)
    params = head.init(5, torch_rng((0,)))
    phi = head.condense(params, batch.support, batch.support_y, 3)
    cell = torch.nn.LSTMCell(10, 5)
    with torch.no_grad():
        for ours, theirs in {"w_in": "weight_ih", "w_rec": "weight_hh", "b_in": "bias_ih", "b_rec": "bias_hh"}.items():
            getattr(cell, theirs).copy_(params[f"query.{ours}"])
        g = phi["support"][0]
        embedded = []
        for x in batch.query[0]:
            h, c = torch.zeros(5), torch.zeros(5)
            for _ in range(3):
                r = (g @ h).softmax(0) @ g  # eqs. 5 and 6; at first the mean
                h_hat, c = cell(torch.cat([x, r]), (h, c))
                h = h_hat + x  # eq. 4
            embedded.append(h)
    expected = head.plain.scores({}, phi, torch.stack(embedded).unsqueeze(0))
    torch.testing.assert_close(head.scores(params, phi, batch.query), expected)


def test_a_single_processing_step_has_read_the_support_set():
    head, batch = FullContext(Attention(1.0), 5, 1), random_batch(tasks=1)
    params = head.init(5, torch_rng((0,)))
    phi = head.condense(params, batch.support, batch.support_y, 3)
    other = phi | {"support": phi["support"] + torch.randn(5, generator=torch_rng((1,)))}
    embedded = [head._embed_queries(params, p, batch.query) for p in (phi, other)]
    assert (embedded[0] - embedded[1]).abs().max() > 1e-3


def test_a_full_context_answer_depends_on_the_whole_support_set():
    head, batch = FullContext(Attention(1.0), 5, 3), random_batch()
    params = head.init(5, torch_rng((0,)))
    changed = batch.support.clone()
    changed[:, -1] += 1
    g, other = (head.condense(params, s, batch.support_y, 3)["support"] for s in (batch.support, changed))
    assert (g[:, 0] - other[:, 0]).abs().max() > 1e-4


def test_a_full_context_answer_does_not_depend_on_the_order_of_the_classes():
    """In meta-training the examples lie class by class, those of a user as they come."""
    head, batch = FullContext(Attention(1.0), 5, 3), random_batch(tasks=1)
    params = head.init(5, torch_rng((0,)))
    y = torch.tensor([[0, 0, 1, 1, 2, 2]])
    order = torch.tensor([4, 0, 2, 1, 5, 3])  # within a class as before
    phi = head.condense(params, batch.support[:, :6], y, 3)
    mixed = head.condense(params, batch.support[:, order], y[:, order], 3)
    torch.testing.assert_close(mixed["support"], phi["support"][:, order])
    torch.testing.assert_close(head.scores(params, mixed, batch.query), head.scores(params, phi, batch.query))


@pytest.mark.parametrize("same_weight", [0.5, 0.1])
def test_siamese_log_odds_and_loss_by_hand(same_weight):
    head, batch = PairVerification(4, same_weight=same_weight), random_batch()
    params = head.init(5, torch_rng((0,)))
    phi = head.condense(params, batch.support, batch.support_y, 3)
    log_odds = head.log_odds(params, phi, batch.query)
    same_losses, other_losses = [], []
    for t in range(2):
        for q in range(4):
            for s in range(6):
                a, b = (
                    torch.sigmoid(x @ params["weight"] + params["bias"])
                    for x in (batch.query[t, q], batch.support[t, s])
                )
                value = params["distance"] @ (a - b).abs() + params["offset"]
                assert float(log_odds[t, q, s]) == pytest.approx(float(value), abs=1e-5)
                p = float(torch.sigmoid(value))
                if batch.query_y[t, q] == batch.support_y[t, s]:
                    same_losses.append(-math.log(p))
                else:
                    other_losses.append(-math.log(1 - p))
    loss, _ = head.loss(params, batch)
    of_same, of_others = sum(same_losses) / len(same_losses), sum(other_losses) / len(other_losses)
    expected = same_weight * of_same + (1 - same_weight) * of_others
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_siamese_pair_of_equals_is_the_likeliest():
    head = PairVerification(4)
    params = head.init(2, torch_rng((0,)))
    phi = head.condense(params, SUPPORT, Y, 2)
    assert head.log_odds(params, phi, SUPPORT[:, 2:])[0, 0].argmax() == 2


@pytest.mark.parametrize("map_shape", [(5,), (3, 2, 2)])
def test_relation_scores_one_pair_at_a_time(map_shape):
    """The examples of a class are added; of vectors the sum has the length of one of them (root mean square)."""
    dim = math.prod(map_shape)
    head, batch = RelationScore(map_shape, 4), random_batch(dim)
    params = head.init(dim, torch_rng((0,)))
    phi = head.condense(params, batch.support, batch.support_y, 3)
    both = batch.support[0, 1], batch.support[0, 4]
    expected = both[0] + both[1]
    if len(map_shape) == 1:
        expected *= ((both[0] @ both[0] + both[1] @ both[1]) / 2).sqrt() / expected.norm()
    torch.testing.assert_close(phi["classes"][0, 1], expected)
    scores = head.scores(params, phi, batch.query)
    for way in range(3):
        alone = {"classes": phi["classes"][:1, way : way + 1]}
        own = head.scores(params, alone, batch.query[:1, 2:3])
        assert float(own) == pytest.approx(float(scores[0, 2, way]), abs=1e-5)
    loss, _ = head.loss(params, batch)
    target = torch.nn.functional.one_hot(batch.query_y, 3)
    errors = (scores.sigmoid() - target) ** 2
    if len(map_shape) == 1:  # the two other classes count as much as the own one
        errors = torch.where(target == 1, errors, errors / 2)
    torch.testing.assert_close(loss, errors.sum(-1).mean())


def test_relation_of_vectors_by_hand():
    """Products (3, 8) of (1, 2) and (3, 4): units of weights (1, 1/4) and (-1, 0) say 3 + 2 - 1 and nothing."""
    head = RelationScore((2,), 2)
    params = {
        "w0": torch.tensor([[1.0, -1.0], [0.25, 0.0]]),
        "b0": torch.tensor([-1.0, 0.0]),
        "w1": torch.tensor([[0.5], [7.0]]),
        "b1": torch.tensor([0.25]),
    }
    phi = {"classes": torch.tensor([[[1.0, 2.0], [0.0, 0.0]]])}
    assert head.scores(params, phi, torch.tensor([[[3.0, 4.0]]])).tolist() == [[[0.5 * 4 + 0.25, 0.25]]]


def test_relation_of_vectors_starts_as_an_inner_product():
    """Of unit vectors with cosines 0 to 1 the nearest gets the highest score, before any learning."""
    head, angles = RelationScore((50,), 8), torch.linspace(0, math.pi / 2, 5)
    base = torch.ones(2, 25) / 5
    classes = torch.stack([torch.cat([a.cos() * base[0], a.sin() * base[1]]) for a in angles])
    query = torch.cat([base[0], 0 * base[1]])
    scores = head.scores(head.init(50, torch_rng((0,))), {"classes": classes[None]}, query[None, None])[0, 0]
    assert (scores.diff() < 0).all()
    assert float(scores[0] - scores[-1]) == pytest.approx(START, rel=0.3)


def test_transfer_pre_trains_on_the_labels_of_all_training_classes():
    head, batch = CentroidHead(6, 0.1), random_batch()
    params = head.init(5, torch_rng((0,)))
    loss, _ = head.loss(params, batch)
    rows, labels = [], []
    for t in range(2):
        classes = batch.tasks[t].params["train_classes"]
        for x, y in ((batch.support[t], batch.support_y[t]), (batch.query[t], batch.query_y[t])):
            rows += list(x)
            labels += [classes[int(label)] for label in y]
    scores = torch.stack(rows) @ params["weight"] + params["bias"]
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(scores, torch.tensor(labels)))


def test_a_fine_tuned_head_is_logistic_regression_by_gradient_descent():
    head, batch = FineTunedHead(6, steps=4, lr=0.5, temperature=0.1), random_batch()
    phi = head.condense({}, batch.support, batch.support_y, 3)
    for t in range(2):
        x = batch.support[t] / batch.support[t].norm(dim=1, keepdim=True)
        w, b = torch.zeros(5, 3, requires_grad=True), torch.zeros(3, requires_grad=True)
        for _ in range(4):
            loss = torch.nn.functional.cross_entropy((x @ w + b) / 0.1, batch.support_y[t])
            gw, gb = torch.autograd.grad(loss, (w, b))
            w, b = w - 0.5 * gw, b - 0.5 * gb
        torch.testing.assert_close(phi["weight"][t], w, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(phi["bias"][t], b, atol=1e-5, rtol=1e-4)


def test_relation_networks_start_with_graded_scores_whatever_the_length_of_their_features():
    """Those of a ReLU net are long: a sigmoid of their products would be 1 for every class, and its gradient 0."""
    y = torch.arange(3).repeat(2)[None]
    features = 20 * torch.rand(1, 12, 16, generator=torch.Generator().manual_seed(0))
    batch = Embedded([], 3, features[:, :6], y, features[:, 6:], y)
    losses = {}
    for own_length in (True, False):
        head = RelationScore((16,), 8, own_length=own_length)
        params = {name: p.requires_grad_() for name, p in head.init(16, torch_rng((0,))).items()}
        loss, _ = head.loss(params, batch)
        losses[own_length] = (loss.item(), torch.autograd.grad(loss, params["w0"])[0].abs().max().item())
    assert losses[True][0] == pytest.approx(1, abs=1e-6) and losses[True][1] < 1e-12
    assert losses[False][0] < 0.999 and losses[False][1] > 1e-5
