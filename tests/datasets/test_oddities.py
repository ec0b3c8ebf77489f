"""What is odd about a data set: each oddity is one line with its numbers; a usual set has none."""

import numpy as np

from golden.datasets import Dataset, digits, remarks


def data(train, test, brightest=255):
    train, test = np.array(train, np.uint8), np.array(test, np.uint8)
    return Dataset(
        name="made",
        train_images=np.full((len(train), 2, 2), brightest, np.uint8),
        train_labels=train,
        test_images=np.zeros((len(test), 2, 2), np.uint8),
        test_labels=test,
        pixel_max=255,
        classes=1 + int(max(train.max(), test.max())),
    )


def test_a_usual_set_has_none():
    assert remarks(digits()) == []
    assert remarks(data([0, 1, 2, 1], [2, 1, 0])) == []


def test_gaps_between_labels():
    assert remarks(data([0, 100, 200], [200, 0, 100])) == [
        "made: 3 of 201 classes have training images; classes 1 to 99, 101 to 199 have none, and "
        "an output each all the same: labels that count from 0 without gaps avoid it"
    ]
    (line,) = remarks(data(range(250, 255), range(250, 255)))
    assert line.startswith("made: 5 of 255 classes have training images; classes 0 to 249 have")
    (line,) = remarks(data(range(0, 40, 2), range(0, 40, 2)))
    assert "classes 1, 3, 5, 7, 9, 11 and 13 more have none" in line


def test_labels_that_training_lacks():
    first, second = remarks(data([0, 1, 1], [0, 1, 2, 2]))
    assert first == (
        "made: 2 of 3 classes have training images; class 2 has none, and an output all the same"
    )
    assert second == (
        "made: 2 of 4 test images (50.0 %) are of classes without a training image (2): "
        "they add to the test error"
    )


def test_labels_that_the_test_lacks():
    assert remarks(data([0, 1, 2, 3], [0, 0])) == [
        "made: no test image is of classes 1 to 3: the test error says nothing about them"
    ]


def test_pixels_from_0_to_1():
    assert remarks(data([0, 1], [0, 1], brightest=1)) == [
        "made: the brightest training pixel is 1, and 255 stands for 1: the images are almost "
        "black; scale the pixels"
    ]
