"""Where data sets lie: torchvision's folders below the one that is named, EMNIST's many sets."""

import gzip

import cifar_sets
import numpy as np
import pytest
from idx_files import idx_bytes

from golden.datasets import DatasetError, idx, load


def write(folder, seed=0, prefix="", test="t10k", packed=False):
    """A data set of 6 + 4 images of 5 x 7 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for part, count in (("train", 6), (test, 4)):
        images = random.integers(0, 256, (count, 5, 7), np.uint8)
        labels = (np.arange(count) % 3).astype(np.uint8)
        for kind, array in (("images", images), ("labels", labels)):
            content = idx_bytes(array)
            name = f"{prefix}{part}-{kind}-idx{array.ndim}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
    return np.random.default_rng(seed).integers(0, 256, (6, 5, 7), np.uint8)


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_torchvisions_folder_is_found_from_its_root(name, tmp_path):
    wanted = write(tmp_path / name / "raw")
    write(tmp_path / name / "raw", packed=True)  # it keeps what it fetched
    for folder in tmp_path, tmp_path / name, tmp_path / name / "raw":
        for read in load, idx:
            data = read(folder)
            assert np.array_equal(data.train_images, wanted)
            assert data.name == name


@pytest.mark.parametrize("version", cifar_sets.FOLDERS)
def test_torchvisions_cifar_is_found_from_its_root(version, tmp_path):
    made = cifar_sets.write(tmp_path / cifar_sets.FOLDERS[version], version, 1)
    for folder in tmp_path, tmp_path / cifar_sets.FOLDERS[version]:
        data = load(folder)
        assert data.test_labels.tolist() == made["test_batch"][1].tolist()


def test_of_several_data_sets_one_must_be_named(tmp_path):
    write(tmp_path / "MNIST/raw", 1)
    wanted = write(tmp_path / "KMNIST/raw", 2)
    with pytest.raises(DatasetError) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: 2 data sets, name one: {tmp_path}/KMNIST/raw, {tmp_path}/MNIST/raw"
    )
    assert np.array_equal(load(tmp_path / "KMNIST").train_images, wanted)
    cifar_sets.write(tmp_path / "cifar-10-batches-py", "python", 1)
    with pytest.raises(DatasetError, match="a folder with one data set is wanted") as caught:
        load(tmp_path)
    assert all(
        f"{tmp_path}/{name}" in str(caught.value) for name in ("MNIST/raw", "cifar-10-batches-py")
    )


@pytest.mark.parametrize("packed", [False, True])
def test_emnists_sets_are_named_by_their_beginning(packed, tmp_path):
    raw = tmp_path / "EMNIST/raw"
    letters = write(raw, 1, "emnist-letters-", "test", packed)
    data = load(tmp_path)  # alone, it needs no name
    assert data.name == "emnist-letters" and np.array_equal(data.train_images, letters)
    digits = write(raw, 2, "emnist-digits-", "test", packed)
    with pytest.raises(DatasetError, match="2 data sets, name one: ") as caught:
        load(tmp_path)
    names = str(caught.value).partition("name one: ")[2].split(", ")
    assert names == [f"{raw}/emnist-digits", f"{raw}/emnist-letters"]
    for name, wanted in zip(names, (digits, letters)):
        assert np.array_equal(load(name).train_images, wanted)
    with pytest.raises(DatasetError, match="emnist-balanced: no such directory"):
        load(raw / "emnist-balanced")


def test_a_missing_file_below_is_named(tmp_path):
    write(tmp_path / "MNIST/raw")
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DatasetError, match=f"{tmp_path}/MNIST/raw: no file t10k-labels-idx1"):
        load(tmp_path)


def test_folders_in_the_place_of_files_do_not_count(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").mkdir()
    with pytest.raises(DatasetError, match="no data set: looked for IDX files"):
        load(tmp_path)
