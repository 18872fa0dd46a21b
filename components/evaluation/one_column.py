"""A simple model of one column: the one that tells most of the target alone.

Where it answers nearly as well as all columns together, it may hold what is known only once the answer is.

N rows, F features, K classes.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

Floats = npt.NDArray[np.float64]
Target = npt.NDArray[np.int64] | Floats

LEAVES: Final = 64
FEWEST_IN_LEAF: Final = 5
WORK: Final = 2_500_000  # rows x features that columns are compared on: seconds of one core
LEAST: Final = 500  # rows
MOST: Final = 5000
RARE: Final = 1e-3  # the least probability that a tree is taken to have meant


class OneColumn:
    """A tree of few leaves of one feature, with the methods of scikit-learn's models. No classes: a regression.

    `absolute` makes the absolute errors small, in place of the squared ones: the leaves answer with their medians.
    """

    def __init__(self, classes: int, *, balanced: bool, absolute: bool, seed: int) -> None:
        self.seed, self.weights = seed, "balanced" if balanced else None
        self.absolute, self.medians = absolute, np.empty(0)  # of the leaves, by their number in the tree
        self.place = 0  # of the feature that it goes by
        self.tree = self._tree(classes)

    def _tree(self, classes: int) -> DecisionTreeClassifier | DecisionTreeRegressor:
        how = {"max_leaf_nodes": LEAVES, "min_samples_leaf": FEWEST_IN_LEAF, "random_state": self.seed}
        return DecisionTreeClassifier(**how, class_weight=self.weights) if classes else DecisionTreeRegressor(**how)

    @property
    def classes_(self) -> npt.NDArray[np.int64]:
        """The classes that it learned of."""
        classes: npt.NDArray[np.int64] = self.tree.classes_
        return classes

    def fit(self, features: Floats, target: Target) -> None:
        """Take the feature whose tree has the least loss on rows that it didn't see, and learn from all rows.

        Args:
            features: [N, F], NaN where missing. They are compared on at most MOST rows, a third of them held out.
            target: [N], places of classes or values.
        """
        rows = min(len(target), max(LEAST, min(MOST, WORK // features.shape[1])))
        order = np.random.default_rng(self.seed).permutation(len(target))[:rows]
        learned, held = order[rows // 3 :], order[: rows // 3]
        losses = []
        for place in range(features.shape[1]):
            self._grow(features[learned, place][:, None], target[learned])
            losses.append(self._loss(features[held, place][:, None], target[held]))
        self.place = int(np.argmin(losses))
        self._grow(features[:, [self.place]], target)

    def _grow(self, feature: Floats, target: Target) -> None:
        self.tree.fit(feature, target)
        if self.absolute:
            leaves = self.tree.apply(feature)
            self.medians = np.zeros(self.tree.tree_.node_count)
            for leaf in np.unique(leaves):
                self.medians[leaf] = np.median(target[leaves == leaf])

    def predict(self, features: Floats) -> Floats:
        """Answer with values, [N]."""
        return self._values(features[:, [self.place]])

    def _values(self, feature: Floats) -> Floats:
        values: Floats = self.medians[self.tree.apply(feature)] if self.absolute else self.tree.predict(feature)
        return values

    def predict_proba(self, features: Floats) -> Floats:
        """Answer with probabilities of the classes, [N, K]."""
        shares: Floats = self.tree.predict_proba(features[:, [self.place]])
        return shares

    def _loss(self, features: Floats, target: Target) -> float:
        """Return the mean log loss, or absolute or squared error."""
        if isinstance(self.tree, DecisionTreeRegressor):
            error = np.abs(self._values(features) - target)
            return float(np.mean(error if self.absolute else error**2))
        known, said = self.tree.classes_, self.tree.predict_proba(features)
        place = np.searchsorted(known, target).clip(max=len(known) - 1)
        right = np.where(known[place] == target, said[np.arange(len(target)), place], 0.0)
        return float(-np.log(right.clip(min=RARE)).mean())
