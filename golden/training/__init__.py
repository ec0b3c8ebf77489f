"""Training in integers, step by step as the hardware does it, and the float32 trainings beside it.

A recipe says everything about a training: `load` reads one by name or from a file, and
`train(recipe, dataset)` carries it out. `Run` goes step by step and can leave a folder behind, to
stop and go on from. `new_trainer` gives the trainer alone, whose `step` can record each hardware
operation.
"""

from golden.training.dorefa import DorefaTrainer
from golden.training.dorefa_recipe import DorefaBits, DorefaRecipe
from golden.training.float import FloatTrainer
from golden.training.float_recipe import FloatRecipe, FloatStart, Loss
from golden.training.gupta import GuptaTrainer
from golden.training.gupta_recipe import (
    Formats,
    GuptaRecipe,
    GuptaRounding,
    SaturationGradient,
    UpdateFactors,
)
from golden.training.hwgq import HwgqTrainer
from golden.training.hwgq_recipe import HwgqRecipe
from golden.training.li import LiTrainer
from golden.training.li_recipe import Activation, Binarize, LiFormats, LiRecipe, Update
from golden.training.loop import SYSTEMS, new_trainer, plan
from golden.training.recipe import Recipe, SampleOrder
from golden.training.record import Entry, Record
from golden.training.runs import Interrupted, Run, train
from golden.training.score import Draws, Epoch, Histogram, LayerReport, Score
from golden.training.toml import load
from golden.training.trainer import Trainer
from golden.training.wage import WageTrainer
from golden.training.wage_recipe import Bits, PixelScale, Saturation, Shift, Start, WageRecipe

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
