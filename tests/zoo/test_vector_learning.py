"""Every vector architecture on scikit-learn's bundled tables, beside what scikit-learn's own models reach there."""

from functools import cache

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

from sparknn_magic import registry
from sparknn_magic.plugin import VectorInputs

SMALL = {
    "mlp": {"width": 64},
    "wide_and_deep": {"hidden": (64, 32)},
    "resnet_mlp": {"width": 64},
    "ft_transformer": {"dim": 16, "depth": 2, "heads": 4},
}
EVERY = pytest.mark.parametrize("name", SMALL)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def trained(name, inputs, outputs, numbers, codes, target, *, epochs, lr=3e-3, decay=1e-2, batch=64):
    """Train with AdamW on a falling rate; return the network in evaluation mode."""
    network = registry.get("architecture", name).build(inputs, outputs, **SMALL[name])
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    loss = nn.functional.mse_loss if target.is_floating_point() else nn.functional.cross_entropy
    for _ in range(epochs):
        for index in torch.randperm(len(target)).split(batch):
            found = network(numbers[index], codes[index])
            optimizer.zero_grad()
            loss(found[:, 0] if target.is_floating_point() else found, target[index]).backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def none(rows):
    return torch.zeros(rows, 0, dtype=torch.int64)


@cache
def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.4, random_state=0, stratify=y)
    scale = StandardScaler().fit(x_train)
    theirs = MLPClassifier((64, 64), max_iter=60, random_state=0).fit(scale.transform(x_train), y_train)
    return scale.transform(x_train), scale.transform(x_test), y_train, y_test, theirs


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@EVERY
def test_tumours_are_told_apart_as_well_as_by_scikit_learns_perceptron(name):
    x_train, x_test, y_train, y_test, theirs = cancer()
    numbers, target = torch.tensor(x_train, dtype=torch.float32), torch.tensor(y_train)
    network = trained(name, VectorInputs(30), 2, numbers, none(len(numbers)), target, epochs=15)
    with torch.no_grad():
        found = network(torch.tensor(x_test, dtype=torch.float32), none(len(x_test))).argmax(1).numpy()
    assert (found == y_test).mean() > theirs.score(x_test, y_test) - 0.02  # theirs: 0.97


@cache
def diabetes():
    x, y = load_diabetes(return_X_y=True, scaled=False)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.4, random_state=0)
    theirs = GradientBoostingRegressor(random_state=0, max_depth=2, n_estimators=60).fit(x_train, y_train)
    return x_train, x_test, y_train, y_test, r2_score(y_test, theirs.predict(x_test))


@EVERY
def test_diabetes_progression_is_predicted_as_well_as_by_gradient_boosting(name):
    x_train, x_test, y_train, y_test, theirs = diabetes()
    sex = 1  # the second column is a category of two values
    scale = StandardScaler().fit(np.delete(x_train, sex, 1))
    mean, std = y_train.mean(), y_train.std()

    def tensors(x):
        numbers = torch.tensor(scale.transform(np.delete(x, sex, 1)), dtype=torch.float32)
        return numbers, torch.tensor(x[:, sex : sex + 1], dtype=torch.int64)

    target = torch.tensor((y_train - mean) / std, dtype=torch.float32)
    inputs = VectorInputs(9, (3,), (0,))
    rate = 1e-2 if name in ("mlp", "wide_and_deep") else 2e-3  # what the deeper two do not take
    network = trained(name, inputs, 1, *tensors(x_train), target, epochs=12, lr=rate, decay=0.1)
    with torch.no_grad():
        found = network(*tensors(x_test))[:, 0].numpy() * std + mean
    assert r2_score(y_test, found) > theirs - 0.08  # theirs: 0.36


@pytest.mark.parametrize("width", [0, 4], ids=["one-hot", "embedded"])
@EVERY
def test_an_answer_that_depends_on_a_pair_of_categories_is_learnt(name, width):
    rng = np.random.default_rng(0)
    answer = rng.integers(0, 2, (9, 7))  # no column says anything alone
    codes = np.stack([rng.integers(1, 9, 1000), rng.integers(1, 7, 1000)], 1)
    target = torch.tensor(answer[codes[:, 0], codes[:, 1]])
    codes = torch.tensor(codes)
    inputs = VectorInputs(0, (9, 7), (width, width))
    network = trained(name, inputs, 2, torch.zeros(1000, 0), codes, target, epochs=20, lr=1e-2)
    with torch.no_grad():
        found = network(torch.zeros(1000, 0), codes).argmax(1)
    assert (found == target).float().mean() > 0.97
