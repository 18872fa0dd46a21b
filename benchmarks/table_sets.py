"""The tables of `benchmarks.tables`: real ones out of installed packages, and made ones with a known difficulty.

Defaults are chosen on the first half, CHOOSING; JUDGING says how well they do where nobody looked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import datasets
from sklearn.utils import Bunch

Floats = npt.NDArray[np.float64]
TARGET: Final = "target"


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """How a table is made, with its target in the column TARGET."""

    make: Callable[[], pd.DataFrame]
    about: str


def _shipped(load: Callable[..., Bunch], *, names: bool = True) -> Callable[[], pd.DataFrame]:
    def make() -> pd.DataFrame:
        given = load()
        columns = list(getattr(given, "feature_names", range(given.data.shape[1])))
        frame = pd.DataFrame(given.data, columns=[f"{name}" for name in columns])
        labels = names and hasattr(given, "target_names")
        frame[TARGET] = np.array(given.target_names)[given.target] if labels else given.target
        return frame

    return make


def _plain(features: Floats, target: npt.NDArray[np.generic]) -> pd.DataFrame:
    frame = pd.DataFrame(features, columns=[f"f{i}" for i in range(features.shape[1])])
    frame[TARGET] = target
    return frame


def _classes(target: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.array([f"class {label}" for label in target])


def _with_noise(features: Floats, target: npt.NDArray[np.generic], *, columns: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return _plain(np.hstack([features, rng.normal(size=(len(features), columns))]), _classes(target))


def _statsmodels(name: str) -> pd.DataFrame:
    from importlib import import_module

    frame: pd.DataFrame = import_module(f"statsmodels.datasets.{name}").load_pandas().data
    return frame.reset_index(drop=True)


def fair() -> pd.DataFrame:
    """Whether there was an affair, of 6,366 women."""
    frame = _statsmodels("fair")
    return frame.drop(columns="affairs").assign(**{TARGET: np.where(frame["affairs"] > 0, "yes", "no")})


def anes() -> pd.DataFrame:
    """The vote of 944 Americans, without what they think of the two candidates."""
    frame = _statsmodels("anes96")
    kept = frame[["popul", "TVnews", "selfLR", "ClinLR", "DoleLR", "age", "educ", "income"]]
    return kept.assign(**{TARGET: np.where(frame["vote"] > 0, "Dole", "Clinton")})


def star() -> pd.DataFrame:
    """The share of pupils above the median in 303 school districts."""
    frame = _statsmodels("star98").iloc[:, :14]
    share = frame.iloc[:, 0] / (frame.iloc[:, 0] + frame.iloc[:, 1])
    return frame.iloc[:, 2:].assign(**{TARGET: share})


def modechoice() -> pd.DataFrame:
    """Whether a way to travel was taken, of 840 offers of which one in four was."""
    frame = _statsmodels("modechoice")
    mode = frame["mode"].map({1: "air", 2: "train", 3: "bus", 4: "car"})
    return frame.drop(columns=["individual", "choice"]).assign(mode=mode, **{TARGET: frame["choice"].astype(int)})


def randhie() -> pd.DataFrame:
    """Visits to a doctor, of 20,190 persons and years: most are zero, some are dozens."""
    return _statsmodels("randhie").rename(columns={"mdvis": TARGET})


def grunfeld() -> pd.DataFrame:
    """What 11 firms invested in 20 years."""
    return _statsmodels("grunfeld").rename(columns={"invest": TARGET})


def autompg() -> pd.DataFrame:
    """Miles per gallon of 392 cars, with the origin as text and some weights missing."""
    from mlxtend.data import autompg_data

    features, target = autompg_data()
    names = ["cylinders", "displacement", "horsepower", "weight", "acceleration", "year", "origin"]
    frame = pd.DataFrame(features[:, : len(names)], columns=names)
    frame["origin"] = frame["origin"].map({1.0: "US", 2.0: "Europe", 3.0: "Japan"})
    frame.loc[np.random.default_rng(0).random(len(frame)) < 0.1, "weight"] = np.nan
    return frame.assign(**{TARGET: target})


def boston() -> pd.DataFrame:
    """Prices of houses in 506 districts."""
    from mlxtend.data import boston_housing_data

    return _plain(*boston_housing_data())


def few_informative() -> pd.DataFrame:
    """Two classes, one in seven rare, told apart by 4 of 30 columns."""
    features, target = datasets.make_classification(
        1000, 30, n_informative=4, n_redundant=4, weights=[0.85], class_sep=0.9, random_state=0
    )
    return _plain(features, _classes(target))


def clusters() -> pd.DataFrame:
    """Three classes of four clusters each, in 8 of 15 columns."""
    features, target = datasets.make_classification(
        3000, 15, n_informative=8, n_redundant=2, n_classes=3, n_clusters_per_class=4, random_state=1
    )
    return _plain(features, _classes(target))


def wide() -> pd.DataFrame:
    """A linear target of 300 rows and 40 columns, 10 of which matter."""
    return _plain(*datasets.make_regression(300, 40, n_informative=10, noise=60.0, random_state=0))


def exact() -> pd.DataFrame:
    """A linear target with hardly any noise, 1,000 rows."""
    return _plain(*datasets.make_regression(1000, 12, n_informative=8, noise=5.0, random_state=1))


def customers() -> pd.DataFrame:
    """Whether a customer leaves: text, missing values, long tails and an interaction of two of them; 8,000 rows."""
    rng = np.random.default_rng(3)
    n = 8000
    plan = rng.choice(["basic", "plus", "pro"], n, p=[0.6, 0.3, 0.1])
    city = rng.integers(0, 60, n)
    spent, months, calls = rng.lognormal(3, 1.2, n), rng.integers(1, 72, n), rng.poisson(2, n)
    pull = rng.normal(0, 0.7, 60)[city] - 0.03 * months + 0.45 * calls
    pull += np.where(plan == "basic", 0.5 * (np.log(spent) - 3), -0.5 * (np.log(spent) - 3)) - 1.2
    leaves = rng.random(n) < 1 / (1 + np.exp(-pull))
    frame = pd.DataFrame({"plan": plan, "city": [f"city {c}" for c in city], "spent": spent, "months": months})
    frame = frame.assign(calls=calls.astype(float), noise=rng.normal(size=n))
    for column, share in (("spent", 0.08), ("calls", 0.15)):
        frame.loc[rng.random(n) < share, column] = np.nan
    return frame.assign(**{TARGET: np.where(leaves, "left", "stayed")})


def shop() -> pd.DataFrame:
    """A price with a long tail, of products by brand and kind, weight and age; 5,000 rows."""
    rng = np.random.default_rng(4)
    n = 5000
    brand, kind = rng.integers(0, 40, n), rng.integers(0, 6, n)
    weight, age = rng.lognormal(0, 1, n), rng.exponential(3, n)
    level = rng.normal(0, 0.5, 40)[brand] + rng.normal(0, 0.6, 6)[kind] + 0.5 * np.log(weight) - 0.1 * age * (kind < 3)
    frame = pd.DataFrame({"brand": [f"b{b}" for b in brand], "kind": [f"k{k}" for k in kind], "weight": weight})
    frame = frame.assign(age=np.where(rng.random(n) < 0.1, np.nan, age), colour=rng.choice(["red", "blue"], n))
    return frame.assign(**{TARGET: 20 * np.exp(level + rng.normal(0, 0.2, n))})


def claims() -> pd.DataFrame:
    """What is paid: a share of one long-tailed column, which varies, and of another; 2,000 rows."""
    rng = np.random.default_rng(5)
    n = 2000
    income, claimed = rng.lognormal(8, 1.2, n), rng.pareto(1.5, n) * 100
    frame = pd.DataFrame({"income": income, "age": rng.integers(18, 80, n), "city": rng.choice(list("ABCDE"), n)})
    paid = income * 0.05 * np.exp(rng.normal(0, 0.5, n)) + claimed * 0.3
    return frame.assign(claimed=claimed, **{TARGET: paid.round(2)})


def turnover() -> pd.DataFrame:
    """Three long-tailed sums, each worth more in one region than in another, some of them missing; 3,000 rows."""
    rng = np.random.default_rng(6)
    n = 3000
    region, sums = rng.integers(0, 4, n), rng.lognormal(6, 1.5, (n, 3))
    worth = rng.uniform(0.2, 1.5, (4, 3))[region]
    frame = pd.DataFrame({"region": [f"r{r}" for r in region], "shops": sums[:, 0], "web": sums[:, 1]})
    frame = frame.assign(post=np.where(rng.random(n) < 0.1, np.nan, sums[:, 2]), staff=rng.poisson(20, n))
    return frame.assign(**{TARGET: (sums * worth).sum(axis=1) + rng.normal(0, 200, n)})


def digits() -> pd.DataFrame:
    """1,797 handwritten digits as 64 columns."""
    given = datasets.load_digits()
    return _plain(given.data, given.target)


CHOOSING: Final[dict[str, Made]] = {
    "wine": Made(make=_shipped(datasets.load_wine), about="3 classes"),
    "breast_cancer": Made(make=_shipped(datasets.load_breast_cancer), about="2 classes"),
    "friedman1": Made(make=lambda: _plain(*datasets.make_friedman1(2000, noise=1.0, random_state=0)), about="curved"),
    "fair": Made(make=fair, about="whole numbers, 1 in 3"),
    "star98": Made(make=star, about="shares"),
    "autompg": Made(make=autompg, about="text, missing"),
    "few_informative": Made(make=few_informative, about="1 in 7"),
    "moons": Made(
        make=lambda: _with_noise(*datasets.make_moons(1500, noise=0.3, random_state=0), columns=8), about="curved"
    ),
    "customers": Made(make=customers, about="text, missing, tails"),
    "wide": Made(make=wide, about="linear, noise"),
    "claims": Made(make=claims, about="long tails"),
}
JUDGING: Final[dict[str, Made]] = {
    "iris": Made(make=_shipped(datasets.load_iris), about="3 classes"),
    "diabetes": Made(make=_shipped(datasets.load_diabetes, names=False), about="noise"),
    "friedman2": Made(make=lambda: _plain(*datasets.make_friedman2(800, noise=50.0, random_state=0)), about="products"),
    "anes96": Made(make=anes, about="whole numbers"),
    "modechoice": Made(make=modechoice, about="text, 1 in 4"),
    "boston": Made(make=boston, about="curved"),
    "clusters": Made(make=clusters, about="3 classes"),
    "circles": Made(
        make=lambda: _with_noise(*datasets.make_circles(1000, noise=0.15, factor=0.6, random_state=0), columns=6),
        about="curved",
    ),
    "shop": Made(make=shop, about="text, missing, tails"),
    "digits": Made(make=digits, about="10 classes"),
    "exact": Made(make=exact, about="linear, hardly any noise"),
    "grunfeld": Made(make=grunfeld, about="text, tails"),
    "randhie": Made(make=randhie, about="counts"),
    "turnover": Made(make=turnover, about="text, missing, long tails"),
}
TABLES: Final[dict[str, Made]] = CHOOSING | JUDGING
