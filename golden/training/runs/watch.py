"""Watches a training: outputs that mostly saturate, weights that stand still.

Both are read from the reports of epochs, which count them in one step of each epoch.
"""

from collections.abc import Sequence

from golden.training.recipe import Recipe
from golden.training.runs.score import Epoch

#: Share of saturated values that is remarkable.
_MOSTLY = 0.5
#: Per cent of the images that at least are wrong with saturated outputs, for a remark on them.
_STUCK = 10.0
#: Share of unmoved weights from which on a layer hardly moves.
_STILL = 0.99
#: Error in per cent up to which a training has nothing more to learn: all may stand still then.
_LEARNED = 5.0
#: Part of the error of a blind guess from which on nothing was learned.
_BLIND = 0.8

#: What to change where values saturate, and where weights stand still, by system.
_WIDER = {
    "gupta": "integer bits (formats.activation_fl={fl}) and a smaller learning_rate",
    "li": "a smaller formats.activation_fl or learning_rate",
    "wage": "smaller rates",
}
_LARGER = {
    "gupta": "a larger deviation of the first weights, rounding=stochastic, more fraction bits, "
    "or another learning_rate",
    "li": "update=sr or bc, a finer grid, or another learning_rate",
    "wage": "larger rates",
}
_OTHERS = "another learning_rate or start"


def remarks(recipe: Recipe, classes: int, history: Sequence[Epoch]) -> list[str]:
    """Return remarks on a training, each one for the first epoch that gives cause for it.

    Parameters
    ----------
    recipe
        The recipe.
    classes
        Number of classes.
    history
        Reports of the epochs so far.

    Returns
    -------
    list of str
        One line each, with the figures and what to change; empty for a training that goes well.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> from golden.training import load, train
    >>> recipe = load("digits-gupta", ["epochs=1", "network=64FC-64FC-64FC-64FC"])
    >>> _, history = train(recipe, digits())
    >>> remarks(recipe, 10, history)[0][:64]
    'epoch 1: 100.00 % of the weights did not move in its last step, '
    """
    found: dict[str, str] = {}
    for epoch in history:
        # The lower one: training errors lag behind, and test errors stay where nothing generalizes.
        wrong = min(epoch.train.error, epoch.test.error)
        for kind, text in (
            ("outputs", _outputs(recipe, epoch, wrong)),
            ("hidden", _hidden(recipe, epoch, wrong)),
            ("still", _still(recipe, epoch, wrong, 100 * (1 - 1 / classes))),
        ):
            if text:
                found.setdefault(kind, f"epoch {epoch.epoch}: {text}")
    return list(found.values())


def _outputs(recipe: Recipe, epoch: Epoch, wrong: float) -> str:
    """Return a remark if many more outputs saturate than images are right.

    Outputs of images that are right saturate as a rule. Beyond that, images are wrong with
    saturated outputs, from which no error comes back.
    """
    share = epoch.layers[-1].saturated if epoch.layers else 0.0
    if share < _MOSTLY or 100 * share - (100 - wrong) < _STUCK:
        return ""
    return (
        f"{100 * share:.0f} % of the outputs saturate, with {wrong:.1f} % of the images wrong, "
        f"and saturated outputs teach nothing: try {_wider(recipe)}"
    )


def _hidden(recipe: Recipe, epoch: Epoch, wrong: float) -> str:
    """Return a remark if most values of a hidden layer saturate."""
    if wrong <= _LEARNED or recipe.SYSTEM not in _WIDER:
        return ""
    for number, layer in enumerate(epoch.layers[:-1], 1):
        if layer.saturated >= _MOSTLY:
            return (
                f"{100 * layer.saturated:.0f} % of the values of layer {number} ({layer.name}) "
                f"saturate: try {_wider(recipe)}"
            )
    return ""


def _still(recipe: Recipe, epoch: Epoch, wrong: float, blind: float) -> str:
    """Return a remark if no layer moves: not at all, or hardly, without having learned anything."""
    least = min((layer.unmoved for layer in epoch.layers), default=0.0)
    if not ((least == 1 and wrong > _LEARNED) or (least >= _STILL and wrong >= _BLIND * blind)):
        return ""
    return (
        f"{100 * least:.2f} % of the weights did not move in its last step, with {wrong:.1f} % of "
        f"the images wrong: try {_LARGER.get(recipe.SYSTEM, _OTHERS)}"
    )


def _wider(recipe: Recipe) -> str:
    """Return what to change where values saturate."""
    # Gupta's convolutional networks have <6,10>.
    return _WIDER.get(recipe.SYSTEM, _OTHERS).format(fl=10)
