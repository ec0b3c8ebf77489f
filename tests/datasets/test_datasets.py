"""Data sets: what is read, and every way in which a file can be wrong."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx_bytes

import golden
from golden.datasets import Dataset, DatasetError, digits, idx, idx_files, load, read_idx


@pytest.fixture
def directory(tmp_path):
    """A data set of 6 + 4 images of 5 x 7 pixels and 3 classes."""
    random = np.random.default_rng(0)
    for part, count in (("train", 6), ("t10k", 4)):
        images = random.integers(0, 256, (count, 5, 7), np.uint8)
        labels = (np.arange(count) % 3).astype(np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path


def refusal(call, *arguments):
    with pytest.raises(DatasetError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_digits_are_the_published_ones():
    data = digits()
    images = np.concatenate([data.train_images, data.test_images])
    labels = np.concatenate([data.train_labels, data.test_labels])
    # Counts of each digit in the repository's test set.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8 and images.max() == 16
    assert data.pixel_max == 16 and data.classes == 10 and data.shape == (8, 8, 1)
    with np.load(Path(golden.__file__).parent / "data" / "digits.npz") as file:
        content = file["images"].tobytes() + file["labels"].tobytes()
    assert hashlib.sha256(content).hexdigest() == CONTENT


CONTENT = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_a_fifth_of_the_digits_is_held_out():
    data = digits()
    assert len(data.train_images) == 1438 and len(data.test_images) == 359
    seen = {image.tobytes() for image in data.train_images}
    assert not any(image.tobytes() in seen for image in data.test_images)
    again, other = digits(0), digits(1)
    assert np.array_equal(data.test_images, again.test_images)
    assert not np.array_equal(data.test_images, other.test_images)
    order = np.random.Generator(np.random.PCG64(1)).permutation(1797)
    everything = np.concatenate([other.train_labels, other.test_labels])
    assert np.bincount(everything).sum() == len(order)


def test_digits_refuse_a_seed_that_is_none():
    with pytest.raises(ValueError, match="held_out_seed = -1: allowed are 0 to"):
        digits(-1)


def test_a_directory_reads_back(directory):
    data = idx(directory)
    assert data.train_images.shape == (6, 5, 7) and data.test_images.shape == (4, 5, 7)
    assert data.pixel_max == 255 and data.classes == 3 and data.shape == (5, 7, 1)
    assert data.name == directory.name
    expected = np.random.default_rng(0).integers(0, 256, (6, 5, 7), np.uint8)
    assert np.array_equal(data.train_images, expected)
    assert data.test_labels.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_every_spelling_is_found(directory, dotted, packed):
    plain = idx(directory)
    for path in list(directory.iterdir()):
        content = path.read_bytes()
        path.unlink()
        name = path.name.replace("-idx", ".idx") if dotted else path.name
        if packed:
            (directory / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (directory / name).write_bytes(content)
    data = idx(str(directory))
    assert np.array_equal(data.train_images, plain.train_images)
    assert np.array_equal(data.test_labels, plain.test_labels)


def test_a_missing_directory_is_named(tmp_path):
    assert refusal(idx, tmp_path / "none") == f"{tmp_path / 'none'}: no such directory"


def test_a_missing_file_is_named(directory):
    (directory / "t10k-labels-idx1-ubyte").unlink()
    message = refusal(idx, directory)
    assert message.startswith(f"{directory}: no file t10k-labels-idx1-ubyte or ")
    assert "t10k-labels.idx1-ubyte.gz" in message
    message = refusal(read_idx, directory / "absent")
    assert message == f"{directory / 'absent'}: No such file or directory"
    assert refusal(read_idx, directory).startswith(f"{directory}: Is a directory")


IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx_bytes(IMAGE)  # 16 bytes of header, 24 of data
HUGE = struct.pack(">4I", 0x803, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) + b"1234"
BAD = {
    "empty": (b"", "0 bytes found, at least 4 expected (IDX magic)"),
    "half a magic": (b"\0\0\x08", "3 bytes found, at least 4 expected (IDX magic)"),
    "text": (
        b"not an IDX file",
        "magic 6E6F7420 found, 00000801 (labels) or 00000803 (images) expected",
    ),
    "of floats": (
        idx_bytes(IMAGE, 0x0D03),
        "magic 00000D03 found, 00000801 (labels) or 00000803 (images) expected",
    ),
    "of no dimension": (
        b"\0\0\x08\0",
        "magic 00000800 found, 00000801 (labels) or 00000803 (images) expected",
    ),
    "of five dimensions": (
        b"\0\0\x08\5" + bytes(40),
        "magic 00000805 found, 00000801 (labels) or 00000803 (images) expected",
    ),
    "half a header": (GOOD[:15], "15 bytes found, 16 expected (IDX header)"),
    "truncated": (GOOD[:-1], "39 bytes found, 40 expected (16 of header, 2 x 3 x 4 of data)"),
    "without images": (idx_bytes(IMAGE[:0]), "empty, its header says 0 x 3 x 4"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("packed", [False, True])
def test_bad_files_are_refused(tmp_path, name, packed):
    content, complaint = BAD[name]
    path = tmp_path / ("file.gz" if packed else "file")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert refusal(read_idx, path) == f"{path}: {complaint}"


def test_trailing_bytes_are_refused(tmp_path):
    (tmp_path / "file").write_bytes(GOOD + b"12")
    assert refusal(read_idx, tmp_path / "file").endswith(
        "file: 42 bytes found, 40 expected (16 of header, 2 x 3 x 4 of data)"
    )
    (tmp_path / "file.gz").write_bytes(gzip.compress(GOOD + b"12"))
    assert "file.gz: more than 40 bytes found, 40 expected" in refusal(
        read_idx, tmp_path / "file.gz"
    )


def test_files_are_read_in_pieces(tmp_path, monkeypatch):
    """The end is seen even where it falls on the end of a piece."""
    monkeypatch.setattr(idx_files, "_CHUNK", 8)
    (tmp_path / "file.gz").write_bytes(gzip.compress(GOOD))
    assert np.array_equal(read_idx(tmp_path / "file.gz"), IMAGE)
    (tmp_path / "file.gz").write_bytes(gzip.compress(GOOD + b"1"))
    assert "more than 40 bytes found" in refusal(read_idx, tmp_path / "file.gz")


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_cannot_make_us_allocate(tmp_path, packed):
    path = tmp_path / ("file.gz" if packed else "file")
    path.write_bytes(gzip.compress(HUGE) if packed else HUGE)
    assert refusal(read_idx, path).startswith(f"{path}: 20 bytes found, {16 + 0xFFFFFFFF**3} ")


def test_what_is_not_gzip_is_refused(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(GOOD)
    assert refusal(read_idx, path).startswith(f"{path}: damaged or not gzip (Not a gzipped file")
    packed = gzip.compress(GOOD)
    path.write_bytes(packed[:-9])
    assert refusal(read_idx, path).startswith(f"{path}: damaged or not gzip (Compressed file")
    path.write_bytes(packed[:10] + b"\xff" * 20)
    assert refusal(read_idx, path).startswith(f"{path}: damaged or not gzip (Error -3")
    flipped = bytearray(packed)
    flipped[-6] ^= 1  # the checksum
    path.write_bytes(bytes(flipped))
    assert refusal(read_idx, path).startswith(f"{path}: damaged or not gzip (CRC check failed")
    plain = tmp_path / "file"
    plain.write_bytes(packed)
    assert refusal(read_idx, plain).endswith("(gzip: a name that ends in .gz is expected)")


def test_counts_of_images_and_labels_must_match(directory):
    images, labels = directory / "train-images-idx3-ubyte", directory / "train-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.zeros(5, np.uint8)))
    assert refusal(idx, directory) == f"{images}: 6 images, but {labels} has 5 labels"


def test_images_and_labels_may_not_change_places(directory):
    images, labels = directory / "train-images-idx3-ubyte", directory / "train-labels-idx1-ubyte"
    content = images.read_bytes()
    images.write_bytes(labels.read_bytes())
    assert refusal(idx, directory) == (
        f"{images}: magic 00000801, 00000803 or 00000804 expected (3 or 4 dimensions, 1 found)"
    )
    images.write_bytes(content)
    labels.write_bytes(content)
    assert refusal(idx, directory).startswith(f"{labels}: magic 00000803, 00000801 expected")


def test_train_and_test_images_must_be_of_one_size(directory):
    path = directory / "t10k-images-idx3-ubyte"
    path.write_bytes(idx_bytes(np.zeros((4, 7, 5), np.uint8)))
    assert refusal(idx, directory) == (
        f"{path}: images of 7 x 5 pixels, those to train with are of 5 x 7"
    )


@pytest.mark.parametrize("number", [3, 4])
def test_images_may_have_channels(directory, number):
    """A fourth dimension is that of channels, whichever name the file has."""
    random = np.random.default_rng(1)
    colours = {}
    for part, count in (("train", 6), ("t10k", 4)):
        colours[part] = random.integers(0, 256, (count, 5, 7, 2), np.uint8)
        (directory / f"{part}-images-idx3-ubyte").unlink()
        (directory / f"{part}-images-idx{number}-ubyte").write_bytes(idx_bytes(colours[part]))
    data = idx(directory)
    assert data.shape == (5, 7, 2)
    assert np.array_equal(data.train_images, colours["train"])
    assert np.array_equal(data.test_images, colours["t10k"])
    path = directory / f"t10k-images-idx{number}-ubyte"
    path.write_bytes(idx_bytes(colours["t10k"][..., :1]))
    assert refusal(idx, directory) == (
        f"{path}: images of 5 x 7 x 1 pixels, those to train with are of 5 x 7 x 2"
    )


def test_a_folder_of_idx_files_is_loaded_as_one(directory, tmp_path):
    data, plain = load(str(directory)), idx(directory)
    assert vars(data).keys() == vars(plain).keys()
    assert all(np.array_equal(vars(data)[key], vars(plain)[key]) for key in vars(data))
    (directory / "train-images-idx3-ubyte").unlink()  # the rest says what it was to be
    assert refusal(load, directory).startswith(f"{directory}: no file train-images-idx3-ubyte or")


def test_what_was_looked_for_is_said(tmp_path):
    (tmp_path / "images.png").write_bytes(b"")
    message = refusal(load, tmp_path)
    assert message.startswith(f"{tmp_path}: no data set: looked for IDX files (train-images-idx3")
    assert "CIFAR-10 files (data_batch_1 to 5" in message and "cifar-10-batches-bin" in message
    assert refusal(load, tmp_path / "none") == f"{tmp_path / 'none'}: no such directory"
    assert refusal(load, tmp_path / "images.png").endswith("images.png: no such directory")


def test_two_data_sets_in_one_folder_are_refused(directory):
    (directory / "data_batch_3.bin").write_bytes(b"")
    message = refusal(load, directory)
    assert message.startswith(f"{directory}: IDX files (") and "one data set is wanted" in message


def test_many_classes_are_counted(directory):
    labels = np.array([0, 255, 7, 1], np.uint8)
    (directory / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    assert load(directory).classes == 256


def test_one_class_is_none(directory):
    for part, count in (("train", 6), ("t10k", 4)):
        path = directory / f"{part}-labels-idx1-ubyte"
        path.write_bytes(idx_bytes(np.zeros(count, np.uint8)))
    assert "every label is 0" in refusal(idx, directory)


FIELDS = {
    "name": "tiny",
    "train_images": np.zeros((3, 2, 2), np.uint8),
    "train_labels": np.array([0, 1, 2], np.uint8),
    "test_images": np.full((1, 2, 2), 9, np.uint8),
    "test_labels": np.array([1], np.uint8),
    "pixel_max": 9,
    "classes": 3,
}


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("pixel_max", 8, "largest pixel of test_images = 9: allowed are 0 to 8"),
        ("pixel_max", 256, "pixel_max = 256: allowed are 1 to 255"),
        ("classes", 2, "largest label of train_labels = 2: allowed are 0 to 1"),
        ("classes", 1, "classes = 1: allowed are 2 to 256"),
        ("train_labels", np.array([0, 1], np.uint8), "train_images holds 3 images"),
        (
            "train_images",
            np.zeros((3, 4), np.uint8),
            r"train_images is uint8 of shape \(3, 4\): integers of 3 or 4 dimensions",
        ),
        ("train_images", np.zeros((3, 2, 2, 1, 1), np.uint8), "train_images is uint8 of shape"),
        ("train_images", np.zeros((3, 2, 2, 0), np.uint8), "train_images is uint8 of shape"),
        ("train_images", np.zeros((3, 2, 2, 1), np.uint8), r"of \(2, 2, 1\) pixels: test_images"),
        ("train_images", np.zeros((3, 2, 2)), "train_images has values of type float64"),
        ("train_images", np.zeros((3, 2, 3), np.uint8), "test_images are of"),
        ("test_labels", np.zeros(0, np.uint8), r"test_labels .* integers of 1 dimensions and"),
    ],
)
def test_a_data_set_checks_itself(field, value, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        Dataset(**(FIELDS | {field: value}))


def test_channels_are_one_unless_there_is_a_dimension_of_them():
    assert Dataset(**FIELDS).shape == (2, 2, 1)
    images = {"train_images": np.zeros((3, 2, 4, 5), np.uint8)}
    images["test_images"] = np.zeros((1, 2, 4, 5), np.uint8)
    assert Dataset(**(FIELDS | images)).shape == (2, 4, 5)
