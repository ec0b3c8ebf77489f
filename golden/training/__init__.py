"""Training in integers with the operations of the hardware, and float32 trainings for comparison.

A recipe has all settings of a training. `load` reads a recipe by name or from a file, and
`train(recipe, dataset)` trains it. `Run` trains step by step, and can write a folder from which it
can be resumed. `new_trainer` returns a trainer alone, whose `step` can record every operation.
"""

from golden.training.recipe import Recipe, SampleOrder
from golden.training.runs.run import Interrupted, Run, train
from golden.training.runs.score import Draws, Epoch, Histogram, LayerReport, Score
from golden.training.step.record import Entry, Record
from golden.training.systems.dorefa.recipe import DorefaBits, DorefaRecipe
from golden.training.systems.dorefa.trainer import DorefaTrainer
from golden.training.systems.float.recipe import FloatRecipe, FloatStart, Loss
from golden.training.systems.float.trainer import FloatTrainer
from golden.training.systems.gupta.recipe import (
    Formats,
    GuptaRecipe,
    GuptaRounding,
    SaturationGradient,
    UpdateFactors,
)
from golden.training.systems.gupta.trainer import GuptaTrainer
from golden.training.systems.hwgq.recipe import HwgqRecipe
from golden.training.systems.hwgq.trainer import HwgqTrainer
from golden.training.systems.li.recipe import Activation, Binarize, LiFormats, LiRecipe, Update
from golden.training.systems.li.trainer import LiTrainer
from golden.training.systems.registry import SYSTEMS, new_trainer, plan
from golden.training.systems.wage.recipe import (
    Bits,
    PixelScale,
    Saturation,
    Shift,
    Start,
    WageRecipe,
)
from golden.training.systems.wage.trainer import WageTrainer
from golden.training.toml import load
from golden.training.trainers.trainer import Trainer

__all__ = [
    "SYSTEMS",
    "Activation",
    "Binarize",
    "Bits",
    "DorefaBits",
    "DorefaRecipe",
    "DorefaTrainer",
    "Draws",
    "Entry",
    "Epoch",
    "FloatRecipe",
    "FloatStart",
    "FloatTrainer",
    "Formats",
    "GuptaRecipe",
    "GuptaRounding",
    "GuptaTrainer",
    "Histogram",
    "HwgqRecipe",
    "HwgqTrainer",
    "Interrupted",
    "LayerReport",
    "LiFormats",
    "LiRecipe",
    "LiTrainer",
    "Loss",
    "PixelScale",
    "Recipe",
    "Record",
    "Run",
    "SampleOrder",
    "Saturation",
    "SaturationGradient",
    "Score",
    "Shift",
    "Start",
    "Trainer",
    "Update",
    "UpdateFactors",
    "WageRecipe",
    "WageTrainer",
    "load",
    "new_trainer",
    "plan",
    "train",
]
