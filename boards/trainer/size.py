"""How large a training a board has room for."""

from dataclasses import dataclass

#: The recipe that boards train, if no other one is given.
RECIPE = "digits-wage"


@dataclass(frozen=True, kw_only=True)
class TrainerSize:
    """A training that fits a board.

    Parameters
    ----------
    settings
        What is set in the recipe, before anything that a user sets.
    train, test
        Images to train and to test with; None for all.
    """

    settings: tuple[str, ...] = ()
    train: int | None = None
    test: int | None = None

    @property
    def text(self) -> str:
        """The options that mean the same.

        Examples
        --------
        >>> TrainerSize(settings=("batch=64",), train=100).text
        'digits-wage --set batch=64 --train-images 100'
        """
        return " ".join(
            [
                RECIPE,
                *(f"--set {each}" for each in self.settings),
                *([f"--train-images {self.train}"] if self.train else []),
                *([f"--test-images {self.test}"] if self.test else []),
            ]
        )
