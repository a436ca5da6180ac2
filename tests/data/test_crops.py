import numpy as np
import pytest
import torch

from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.data.crops import Crops
from mmspec.data.mel import LogMel
from mmspec.data.recordings import Recordings
from mmspec.errors import InputError

LENGTHS = np.array([4000, 3300, 500, 2048])
MARGIN = 512


def recordings(folder, channels=1, labels=None):
    rng = np.random.default_rng(0)
    data = rng.integers(-20000, 20000, (4, 4000, channels)).astype(np.int16)
    data[np.arange(4000) >= LENGTHS[:, None]] = 0
    classes = ("a", "b") if labels is not None else None
    meta = DatasetMeta(modality="audio", source="noise", sample_rate=22050, classes=classes)
    write_packed(folder, data[..., 0] if channels == 1 else data, labels, LENGTHS, meta=meta)
    return PackedDataset(folder)


def test_every_aligned_stretch_of_every_recording_is_a_sample(tmp_path):
    dataset = recordings(tmp_path / "set", labels=np.array([0, 1, 0, 1]))
    crops = Crops(dataset, 2048)
    counts = [1 + (4000 - 2048) // 256, 1 + (3300 - 2048) // 256, 1, 1]
    assert len(crops) == sum(counts)
    x0, labels = crops.batch(range(len(crops)))
    expected = [
        dataset.data[i, 256 * start : 256 * start + 2048] / 32768 for i in range(4) for start in range(counts[i])
    ]
    np.testing.assert_array_equal(x0[:, 0].numpy(), np.array(expected, np.float32))
    assert labels.tolist() == np.repeat([0, 1, 0, 1], counts).tolist()
    assert not x0[-2, 0, 500:].any()  # a recording that is shorter has zeros behind it


def test_spectrogram_frames_are_those_of_whole_recordings_as_lmnt_cuts_them(tmp_path):
    dataset = recordings(tmp_path / "set")
    front_end = LogMel()
    crops = Crops(dataset, 2048, margin=front_end.margin)
    clips = crops.batch(range(len(crops)))[0]
    frames = front_end.frames(clips)
    place = 0
    for i, length in enumerate(LENGTHS):
        whole = front_end(torch.from_numpy(dataset.data[i, : max(length, 2048)] / 32768).float()[None, None])
        for start in range(1 + (max(length, 2048) - 2048) // 256):
            torch.testing.assert_close(frames[place], whole[0, :, start : start + 8])
            place += 1
    assert place == len(crops)


@pytest.mark.parametrize("samples", [4000, 4096])
def test_whole_recordings_are_one_stretch_each(tmp_path, samples):
    dataset = recordings(tmp_path / "set", channels=2)
    crops = Crops(dataset, samples, margin=MARGIN)
    clips, labels = crops.batch([0, 1, 2, 3])
    assert clips.shape == (4, 2, samples + 2 * MARGIN) and labels is None
    padded = np.pad(dataset.data, ((0, 0), (0, samples - 4000), (0, 0)))
    reflected = np.pad(padded, ((0, 0), (MARGIN, MARGIN), (0, 0)), mode="reflect") / 32768
    np.testing.assert_array_equal(clips.numpy(), reflected.transpose(0, 2, 1).astype(np.float32))


def test_recordings_come_one_by_one_as_long_as_they_are(tmp_path):
    dataset = recordings(tmp_path / "set", channels=2)
    whole = Recordings(dataset, MARGIN)
    assert len(whole) == 4 and whole.lengths.tolist() == LENGTHS.tolist()
    for i, length in enumerate(LENGTHS):
        sound = dataset.data[i, : max(length, MARGIN + 1)]  # one sample more than is reflected, where it is shorter
        reflected = np.pad(sound, ((MARGIN, MARGIN), (0, 0)), mode="reflect") / 32768
        np.testing.assert_array_equal(whole[i][0].numpy(), reflected.T.astype(np.float32))


def test_indices_outside_and_sets_of_pictures_are_refused(tmp_path):
    crops = Crops(recordings(tmp_path / "set"), 2048)
    with pytest.raises(IndexError, match=f"between 0 and {len(crops) - 1}"):
        crops.batch([len(crops)])
    with pytest.raises(IndexError, match="between 0"):
        crops.batch([-1])
    with pytest.raises(InputError, match="a crop of 512 samples is too short: it must be more than 512"):
        Crops(crops.dataset, 512, margin=512)
    pictures = DatasetMeta(modality="image", source="nothing")
    write_packed(tmp_path / "pictures", np.zeros((2, 4, 4, 3), np.uint8), meta=pictures)
    with pytest.raises(InputError, match="holds pictures, and only sound is cropped"):
        Crops(PackedDataset(tmp_path / "pictures"), 2048)
