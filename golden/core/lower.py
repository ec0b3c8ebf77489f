"""The compiler: from the plan of a training step to the lists of the core's engines."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from golden.core.config import CoreConfig
from golden.core.field import words_of
from golden.core.isa import INSTRUCTIONS, Engine, Function, Store
from golden.core.layout import Layout, layout
from golden.core.lowering import Gradients, Lowering
from golden.core.program import Program
from golden.fixed import Rounding
from golden.training.layers.network import Shape, Stage, stages
from golden.training.recipe import Recipe
from golden.training.systems.registry import plan
from golden.training.systems.wage.recipe import Saturation, Shift, WageRecipe

#: The least words of a bank, and rows of a store.
_LEAST = 2


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A network on a core.

    Parameters
    ----------
    recipe, shape, classes
        The training, the images' shape, and the number of classes.
    config
        A core that holds it.
    layout
        Where its words are.
    gradients
        What becomes of each layer's gradient.
    scores
        Whether a training step carries out its scores.
    train
        A training step.
    infer
        Scores of a batch, without a step.
    test
        A batch whose wrong classes are counted.
    load, dump
        Stored weights in and out.
    """

    recipe: WageRecipe
    shape: Shape
    classes: int
    config: CoreConfig
    layout: Layout
    gradients: tuple[Gradients, ...]
    scores: bool
    train: Program
    infer: Program
    test: Program
    load: Program
    dump: Program

    @property
    def programs(self) -> tuple[Program, ...]:
        """All of its programs."""
        return (self.train, self.infer, self.test, self.load, self.dump)


def dense_stages(
    recipe: Recipe, shape: Shape, classes: int
) -> tuple[WageRecipe, tuple[Stage, ...]]:
    """Return a recipe and its layers if a core can train them.

    Raises
    ------
    ValueError
        The system is another one than WAGE, or a layer is not dense.
    """
    if not isinstance(recipe, WageRecipe):
        raise ValueError(
            f"system = {recipe.SYSTEM}: the training core trains wage, as in digits-wage"
        )
    layers = stages(recipe.network, shape, classes)
    for stage in layers:
        if not stage.dense or stage.pool is not None:
            raise ValueError(
                f"network = {recipe.network!r}: {stage.text} is a convolution; the training core "
                "has dense layers, as in 128FC-64FC"
            )
    return recipe, layers


def compiled(
    recipe: Recipe,
    shape: Shape,
    classes: int,
    *,
    inputs: int = 1,
    gradients: Gradients | Sequence[Gradients] = Gradients.STORED,
    scores: bool = False,
) -> Compiled:
    """Return a network on a core that just holds it.

    Parameters
    ----------
    recipe
        A recipe of WAGE with dense layers.
    shape
        Height, width and channels of an image.
    classes
        Number of classes.
    inputs
        Buffers for the samples of a step, 1 or 2.
    gradients
        What becomes of the gradients: of all layers, or of each.
    scores
        Whether a training step carries out the scores of its samples, from before the update, as
        the program for inference does.

    Raises
    ------
    ValueError
        The core cannot train the recipe.

    Examples
    --------
    >>> from golden.training import load
    >>> core = compiled(load("digits-wage"), (8, 8, 1), 10)
    >>> [task.name for task in core.train[Engine.ARRAY]][1:]
    ['forward 1', 'forward 2', 'error 2', 'gradient 2', 'gradient 1']
    >>> core.config.sum_bits, core.config.s_rows
    (20, 1280)
    """
    recipe, layers = dense_stages(recipe, shape, classes)
    if isinstance(gradients, Gradients):
        gradients = [gradients] * len(layers)
    try:
        return _lowered(recipe, layers, shape, classes, inputs, tuple(gradients), scores)
    except ValueError as error:
        raise ValueError(
            f"network = {recipe.network!r}, batch = {recipe.batch}: too large for a core's "
            f"instructions ({error})"
        ) from error


def _lowered(
    recipe: WageRecipe,
    layers: tuple[Stage, ...],
    shape: Shape,
    classes: int,
    inputs: int,
    gradients: tuple[Gradients, ...],
    scores: bool,
) -> Compiled:
    """Return layers on a core; see `compiled`."""
    placed = layout(layers, recipe.batch, recipe.rows, recipe.columns, inputs)
    lowering = Lowering(recipe, layers, placed, gradients, scores)
    operations = plan(recipe, shape, classes)
    programs, s_rows = [], _LEAST
    for name, drafts in (
        ("train", lowering.step(operations)),
        ("infer", lowering.forward(operations, Function.COPY)),
        ("test", lowering.forward(operations, Function.CLASSIFY)),
        ("load", lowering.weights(Engine.IN)),
        ("dump", lowering.weights(Engine.OUT)),
    ):
        program, rows = lowering.program(name, drafts)
        programs.append(program)
        s_rows = max(s_rows, rows)
    train, infer, test, load, dump = programs
    resident = (train, infer, test)
    config = CoreConfig(
        rows=recipe.rows,
        columns=recipe.columns,
        bits=recipe.bits,
        half=recipe.saturation is Saturation.HALF,
        ceil=recipe.shift is Shift.CEIL,
        error_rounding=Rounding(recipe.error_rounding),
        generator=recipe.generator,
        terms=lowering.terms,
        sum_bits=lowering.sum_bits,
        x_words=max(_LEAST, placed.words(Store.X)),
        e_words=max(_LEAST, placed.words(Store.E)),
        w_words=max(_LEAST, placed.words(Store.W)),
        s_rows=s_rows,
        k_rows=max(_LEAST, placed.k_rows),
        inputs=inputs,
        labels=recipe.batch,
        classes=classes,
        scalars=lowering.scalars,
        programs=tuple(
            max(
                words_of(INSTRUCTIONS[engine]),
                sum(len(program.words(engine)) for program in resident),
                *(len(program.words(engine)) for program in (load, dump)),
            )
            for engine in Engine
        ),
    )
    return Compiled(
        recipe=recipe,
        shape=shape,
        classes=classes,
        config=config,
        layout=placed,
        gradients=gradients,
        scores=scores,
        train=train,
        infer=infer,
        test=test,
        load=load,
        dump=dump,
    )


def fitting(
    recipe: Recipe,
    shape: Shape,
    classes: int,
    *,
    inputs: int = 1,
    scores: bool = False,
    fits: Callable[[CoreConfig], bool],
) -> Compiled:
    """Return a network on the fastest core that fits: gradients are stored where there is room.

    If none fits, it is the smallest one.

    Parameters
    ----------
    recipe, shape, classes, inputs, scores
        See `compiled`.
    fits
        Whether there is room for a core.
    """
    for made in candidates(recipe, shape, classes, inputs=inputs, scores=scores):
        if fits(made.config):
            break
    return made


def candidates(
    recipe: Recipe,
    shape: Shape,
    classes: int,
    *,
    inputs: int = 1,
    scores: bool = False,
) -> Iterator[Compiled]:
    """Yield a network on cores that differ in what becomes of the gradients, the fastest one first.

    Parameters
    ----------
    recipe, shape, classes, inputs, scores
        See `compiled`.

    Yields
    ------
    Compiled
        The network with all gradients stored; then, one after the other, each made twice as well.
    """
    _, layers = dense_stages(recipe, shape, classes)
    gradients = [Gradients.STORED] * len(layers)

    def made() -> Compiled:
        return compiled(recipe, shape, classes, inputs=inputs, gradients=gradients, scores=scores)

    yield made()
    # The largest gradients first; a smaller one twice costs less, but frees less as well.
    for layer in sorted(range(len(layers)), key=lambda k: -layers[k].inputs * layers[k].outputs):
        gradients[layer] = Gradients.TWICE
        yield made()
