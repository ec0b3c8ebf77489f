"""Training in integers, step by step as the hardware does it: WAGE and Gupta's fixed point.

A recipe says everything about a training; `train(recipe, dataset)` carries it out. `new_trainer`
gives the trainer alone, whose `step` can record each hardware operation.
"""

from golden.training.gupta import GuptaTrainer
from golden.training.gupta_recipe import GuptaRecipe, SaturationGradient, UpdateFactors
from golden.training.loop import new_trainer, train
from golden.training.recipe import Recipe
from golden.training.record import Convert, Entry, Product, Quantize, Record
from golden.training.score import Draws, Epoch, Score
from golden.training.trainer import Trainer
from golden.training.wage import WageTrainer
from golden.training.wage_recipe import (
    Bits,
    PixelScale,
    Saturation,
    Shift,
    Start,
    WageRecipe,
)

__all__ = [
    "Bits",
    "Convert",
    "Draws",
    "Entry",
    "Epoch",
    "GuptaRecipe",
    "GuptaTrainer",
    "PixelScale",
    "Product",
    "Quantize",
    "Recipe",
    "Record",
    "Saturation",
    "SaturationGradient",
    "Score",
    "Shift",
    "Start",
    "Trainer",
    "UpdateFactors",
    "WageRecipe",
    "WageTrainer",
    "new_trainer",
    "train",
]
