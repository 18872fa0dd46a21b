"""Judge the challenger against the champion, on test rows that neither learned from."""

import hashlib
from dataclasses import dataclass

from components.aim import Aim
from components.gate.config import GateConfig
from components.gate.judgement import Judgement
from components.release.releases import Release, Releases
from tasks.answering import answering_code
from tasks.evaluate import Tested
from tasks.select import Selected
from tasks.split import READ, Splits, groups_for, rows_for
from tasks.stage import Workspace, Yard, stage


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The gate's judgement, and the name under which a move of the champion refers to it."""

    judgement: Judgement
    champion: int | None  # the version that it was compared with
    basis: str
    gone: float = 0.0  # share of the rows that the champion learned from of which nothing is left in the data

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        seen = self.judgement.comparison
        values = {"gate.rows": self.judgement.rows, "gate.power": None if seen is None else seen.power}
        return {name: float(value) for name, value in values.items() if value is not None}


def opponent(yard: Yard, selected: Selected) -> Release | None:
    """Return whom the selected candidate is judged against."""
    from tasks.registry import known_versions

    releases = Releases(yard.ledger, yard.model)
    if releases.champion() is None:
        return None
    there = known_versions(yard.home, yard.model, uri=yard.registry_uri)
    gone = {release.version for release in releases.all()} - there
    return releases.opponent(selected.onnx, answered_by=answering_code(), gone=gone)


@stage(libraries=("onnxruntime", "numpy", "scipy", *READ))
def gate(
    here: Workspace,
    config: GateConfig,
    *,
    aim: Aim,
    selected: Selected,
    tested: Tested,
    champion: Release | None,
    splits: Splits,
) -> Judged:
    """Compare the two on the same rows: answers, latency and size."""
    import numpy as np

    from components.data.preparing.prepare import encode_target
    from components.data.splitting.unseen import gone, other_groups, unseen
    from components.gate.gate import judge, same_file
    from components.gate.standing import damage, face_off
    from components.gate.wear import sketch, times_decided
    from components.models.model import read_preparation

    preparation = read_preparation(here.open(selected.model))
    rows = rows_for(here, splits, "test", data=aim.data, purpose="gate")
    groups = groups_for(here, splits, "test", purpose="gate")
    output = np.load(here.open(tested.answers), allow_pickle=False)
    twin = champion if champion is not None and champion.onnx == selected.onnx else None
    champion = None if twin else champion
    obstacle, lost = "", 0.0
    if champion is not None and not damage(here.yard.store, champion):
        ours, theirs = here.open(splits.assignments), here.open(champion.assignments)
        obstacle, lost = other_groups(ours, theirs), gone(ours, theirs)
        fair = np.flatnonzero(unseen(ours, theirs))
        rows, output, groups = rows.take(fair), output[fair], groups[fair]
    challenger, reigning = face_off(
        here.yard.store,
        rows,
        name=f"{here.yard.model} {selected.name}",
        aim=aim,
        preparation=preparation,
        onnx=selected.onnx,
        runtime=selected.runtime,
        output=output,
        champion=champion,
        obstacle=obstacle,
    )
    test_rows = sketch(here.open(splits.assignments))
    earlier = here.yard.ledger.decide_by(test_rows, challenger=selected.onnx.digest, model=here.yard.model)
    judgement = judge(
        config,
        metric=aim.metric,
        task=aim.task,
        target=encode_target(preparation, rows),
        challenger=challenger,
        champion=reigning,
        seed=aim.seed,
        looks=times_decided(test_rows, earlier),
        groups=groups,
        tested=tested.selected.of(aim.metric).value,
    )
    if twin is not None:
        judgement = same_file(judgement, champion=f"{twin.model} {twin.version}")
    against = twin or champion
    version = None if against is None else against.version
    basis = hashlib.sha256(f"{selected.onnx.digest} {version} {judgement.decision}".encode()).hexdigest()[:16]
    return Judged(judgement=judgement, champion=version, basis=basis, gone=lost)
