"""Small replicas of official data sets, with their names, codes, dtypes, axis order and quirks."""

import json
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

OBLIQUE = np.array([[1.4, 0.1, 0, -80], [-0.1, 1.4, 0.5, 20], [0, -0.1, 9.9, 5], [0, 0, 0, 1.0]])


def save(path: Path, data: NDArray[np.generic], affine: NDArray[np.float64] = OBLIQUE) -> None:
    """One NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, affine), path)


def heart(rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Codes 0 to 3: right ventricle, ring and disc, somewhere near the middle of each slice."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    row, column = (np.array(shape[:2]) / 2 + rng.uniform(-2, 2, 2)).tolist()
    away = np.hypot(rows - row, columns - column)
    plane = np.where(away < 4, 3, np.where(away < 7, 2, 0))
    plane = np.where((plane == 0) & (np.hypot(rows - row, columns - column - 8) < 6), 1, plane)
    return np.repeat(plane[..., None], shape[2], 2).astype(np.uint8)


def acdc(folder: Path, patients: int = 3, frames: int = 5) -> None:
    """training/patient001 ... and testing/patient101: two annotated frames of a 4D series each."""
    for number in [*range(1, patients + 1), 101]:
        rng = np.random.default_rng(number)
        name = f"patient{number:03d}"
        place = folder / ("testing" if number > 100 else "training") / name
        masks = [heart(rng, (30, 26, 3)) for _ in range(frames)]
        series = np.stack([60 * m + rng.integers(0, 40, m.shape) for m in masks], 3)
        save(place / f"{name}_4d.nii.gz", series.astype(np.int16))
        ends = 1, frames - 1
        for frame in ends:
            save(place / f"{name}_frame{frame:02d}.nii.gz", series[..., frame - 1].astype(np.int16))
            save(place / f"{name}_frame{frame:02d}_gt.nii.gz", masks[frame - 1])
        (place / "Info.cfg").write_text(
            f"ED: {ends[0]}\nES: {ends[1]}\nGroup: DCM\nHeight: 184.0\nNbFrame: {frames}\n"
            "Weight: 95.0\n"
        )
        (place / "MANDATORY_CITATION.md").write_text("Bernard et al.\n")


def acdc_hdf5(folder: Path, training: int = 4) -> None:
    """data/slices of the training patients, whole volumes of the others, and the lists.

    float32 in [0, 1] by the volume's extremes, no spacing; train_slices.list is not sorted by name.
    """
    import h5py

    (folder / "data" / "slices").mkdir(parents=True)
    listed: dict[str, list[str]] = {"train_slices": [], "train": [], "val": [], "test": []}
    for number in range(1, training + 3):
        part = "train" if number <= training else "val" if number == training + 1 else "test"
        rng = np.random.default_rng(number)
        for frame in (1, 8):
            name = f"patient{number:03d}_frame{frame:02d}"
            label = np.moveaxis(heart(rng, (30, 26, 3)), 2, 0)
            image = 60 * label + rng.integers(0, 40, label.shape)
            image = (image - image.min()) / (image.max() - image.min())
            listed[part].append(name)
            whole = {f"data/{name}": (image, label)}
            if part == "train":
                slices = [f"{name}_slice_{index}" for index in range(1, len(image) + 1)]
                listed["train_slices"] += slices
                whole |= {
                    f"data/slices/{one}": (image[index], label[index])
                    for index, one in enumerate(slices)
                }
            for path, (pixels, codes) in whole.items():
                with h5py.File(folder / f"{path}.h5", "w") as file:
                    file.create_dataset("image", data=pixels.astype("f4"), compression="gzip")
                    file.create_dataset("label", data=codes, compression="gzip")
    for name, names in listed.items():
        (folder / f"{name}.list").write_text("\n".join(names[::-1]) + "\n")


def kits19(folder: Path, cases: int = 4) -> None:
    """data/case_00000: axial slices along the first axis; the last case has no segmentation."""
    axes = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    for number in range(cases):
        rng = np.random.default_rng(number)
        place = folder / "data" / f"case_{number:05d}"
        label = np.zeros((5, 28, 30), np.uint8)
        label[1:4, 8:18, 10:20] = 1
        label[2:4, 10:13, 12:15] = 2
        image = rng.normal(-20, 15, label.shape) + 60 * (label > 0) - 25 * (label == 2)
        save(place / "imaging.nii.gz", image.astype(np.float64), axes)
        if number < cases - 1:
            save(place / "segmentation.nii.gz", label, axes)
    (folder / "LICENSE").write_text("CC BY-NC-SA 4.0")


def btcv(folder: Path, numbers: tuple[int, ...], testing: tuple[int, ...] = ()) -> None:
    """RawData/Training/img and label with all 13 organs as stripes; RawData/Testing/img."""
    left_handed = np.diag([-0.7, 0.7, 3.0, 1.0])
    for number in (*numbers, *testing):
        rng = np.random.default_rng(number)
        label = np.zeros((32, 28, 4), np.uint8)
        for code in range(1, 14):
            label[2 * code : 2 * code + 2, 6:22] = code
        image = (rng.normal(40, 20, label.shape) + 10.0 * label).astype(np.int16)
        part = "Testing" if number in testing else "Training"
        place = folder / "RawData" / part
        save(place / "img" / f"img{number:04d}.nii.gz", image, left_handed)
        if part == "Training":
            save(place / "label" / f"label{number:04d}.nii.gz", label, left_handed)


def photograph(
    seed: int, height: int = 40, width: int = 52
) -> tuple[Image.Image, NDArray[np.bool_]]:
    """A picture of a dark disc, and where it is."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    disc = np.hypot(rows - rng.integers(14, 26), columns - rng.integers(14, 38)) < 9
    colours = np.where(disc[..., None], (90, 40, 40), (200, 150, 140))
    noisy = np.clip(colours + rng.normal(0, 12, colours.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy), disc


def kvasir(folder: Path, count: int = 10) -> None:
    """images and masks as JPEG, so that masks have grey rims; the misspelt file of boxes."""
    boxes = {}
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        picture, disc = photograph(number, 40 + number, 52)
        name = f"cju0qkwl35piu0993l0dewe{number:02d}"
        picture.save(folder / "images" / f"{name}.jpg")
        mask = np.repeat(np.where(disc, 255, 0).astype(np.uint8)[..., None], 3, 2)
        Image.fromarray(mask).save(folder / "masks" / f"{name}.jpg", quality=60)
        boxes[name] = {"height": 40 + number, "width": 52, "bbox": []}
    (folder / "kavsir_bboxes.json").write_text(json.dumps(boxes))


def isic2018(folder: Path, training: int = 10, testing: int = 0) -> None:
    """Folders of inputs and ground truth per part, with licence files among the pictures."""
    for word, numbers in (("Training", range(training)), ("Test", range(100, 100 + testing))):
        if not numbers:
            continue
        images = folder / f"ISIC2018_Task1-2_{word}_Input"
        masks = folder / f"ISIC2018_Task1_{word}_GroundTruth"
        for place in (images, masks):
            place.mkdir(parents=True)
            (place / "LICENSE.txt").write_text("CC0")
            (place / "ATTRIBUTION.txt").write_text("Codella et al.")
        for number in numbers:
            picture, disc = photograph(number)
            picture.save(images / f"ISIC_{number:07d}.jpg")
            mask = Image.fromarray(np.where(disc, 255, 0).astype(np.uint8))
            mask.save(masks / f"ISIC_{number:07d}_segmentation.png")


def crag(folder: Path, train: int = 6, valid: int = 2) -> None:
    """Images, Annotation with numbered glands (16 bits in one), Overlay."""
    for word, count in (("train", train), ("valid", valid)):
        for name in ("Images", "Annotation", "Overlay"):
            (folder / word / name).mkdir(parents=True)
        for number in range(1, count + 1):
            picture, disc = photograph(100 * count + number)
            glands = disc.astype(np.uint16)
            glands[:6, :6] = 2
            glands[-5:, -5:] = 300 if number == 1 else 7
            kind = np.uint16 if number == 1 else np.uint8
            name = f"{word}_{number}.png"
            picture.save(folder / word / "Images" / name)
            picture.save(folder / word / "Overlay" / name)
            Image.fromarray(glands.astype(kind)).save(folder / word / "Annotation" / name)


def blocks(seed: int, shape: tuple[int, int, int] = (26, 24, 5)) -> NDArray[np.uint8]:
    """Two classes as two blocks, at positions that depend on the seed."""
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    row, column = rng.integers(2, 6, 2)
    label[row : row + 12, column : column + 8, 1:4] = 1
    label[row + 3 : row + 9, column + 9 : column + 15, 1:4] = 2
    return label


def scan_of(label: NDArray[np.uint8], seed: int) -> NDArray[np.int16]:
    """Intensities that distinguish the classes, with noise."""
    rng = np.random.default_rng(seed)
    return (np.array([0, 250, 120])[label] + rng.integers(0, 60, label.shape)).astype(np.int16)


def write_volume(path: Path, data: NDArray[np.generic], affine: NDArray[np.float64]) -> None:
    """Write an image [X, Y, Z] with its affine (RAS) by SimpleITK, in the format of the name."""
    import SimpleITK

    path.parent.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    SimpleITK.WriteImage(image, str(path))


def nnunet(folder: Path, cases: int = 7, testing: int = 2, ending: str = ".nii.gz") -> None:
    """Dataset101_Blocks: two channels per case, one file each; the last case has no label."""
    shown = np.diag([1.0, 1.0, 4.0, 1.0])
    for number in range(cases + testing):
        tail = "Tr" if number < cases else "Ts"
        label = blocks(number)
        for channel in range(2):
            name = f"block_{number:03d}_{channel:04d}{ending}"
            image = scan_of(label, 10 * number + channel) * (1 - 2 * channel)
            _either(folder / f"images{tail}" / name, image, shown)
        if number < cases - 1:
            _either(folder / "labelsTr" / f"block_{number:03d}{ending}", label, shown)
    described = {
        "channel_names": {"0": "T2", "1": "ADC"},
        "labels": {"background": 0, "large": 1, "small": 2},
        "numTraining": cases - 1,
        "file_ending": ending,
    }
    (folder / "dataset.json").write_text(json.dumps(described))


def decathlon(folder: Path, cases: int = 5, modalities: int = 2) -> None:
    """Task99_Blocks: 4D images if there are several modalities, with files of macOS."""
    training = []
    for number in range(cases + 1):
        label = blocks(number)
        channels = [scan_of(label, 10 * number + channel) for channel in range(modalities)]
        image = np.stack(channels, 3) if modalities > 1 else channels[0]
        tail, name = "Tr" if number < cases else "Ts", f"block_{number:03d}.nii.gz"
        save(folder / f"images{tail}" / name, image, oblique())
        (folder / f"images{tail}" / f"._{name}").write_bytes(b"Mac OS X")
        if number < cases:
            save(folder / "labelsTr" / name, label, oblique())
            (folder / "labelsTr" / f"._{name}").write_bytes(b"Mac OS X")
            training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    described = {
        "name": "Blocks",
        "licence": "CC-BY-SA 4.0",
        "modality": {str(channel): "MRI" for channel in range(modalities)},
        "labels": {"0": "background", "1": "large", "2": "small"},
        "numTraining": cases,
        "numTest": 1,
        "training": training,
        "test": [f"./imagesTs/block_{cases:03d}.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(described))


def volumes(folder: Path, ending: str = ".nrrd", cases: int = 5) -> None:
    """Folders images and labels, oblique, in a format that SimpleITK writes."""
    for number in range(cases):
        label = blocks(number)
        affine = oblique()
        write_volume(folder / "images" / f"block_{number}{ending}", scan_of(label, number), affine)
        write_volume(folder / "labels" / f"block_{number}{ending}", label, affine)


def ct(folder: Path, cases: int = 7) -> None:
    """Folders images and labels of CTs: air, bone, and classes in each case at other intensities."""
    for number in range(cases):
        label = blocks(number)
        image = scan_of(label, number) + 10 * number
        image[:4], image[-3:] = -1000, 1200
        save(folder / "images" / f"ct_{number}.nii.gz", image, oblique())
        save(folder / "labels" / f"ct_{number}.nii.gz", np.where(image < 1000, label, 0), oblique())


def suffixed(folder: Path, cases: int = 8) -> None:
    """One folder of NAME.nii.gz beside NAME_seg.nii.gz; the last case is ignored."""
    for number in range(cases):
        label = blocks(number)
        save(folder / f"block{number}_ED.nii.gz", scan_of(label, number), oblique())
        if number < cases - 1:
            save(folder / f"block{number}_ED_seg.nii.gz", label, oblique())


def channelled(folder: Path, cases: int = 7) -> Path:
    """list.json and volumes of two channels, one file each, with separate headers."""
    rows = []
    for number in range(cases):
        label, names = blocks(number), [f"scans/b{number}_000{c}.nhdr" for c in range(2)]
        for channel, name in enumerate(names):
            image = scan_of(label, 10 * number + channel)
            write_volume(folder / name, image, oblique(mirrored=True))
        write_volume(folder / f"drawn/b{number}.mhd", label, oblique(mirrored=True))
        part = {"part": "test"} if number == 0 else {}
        rows.append({"image": names, "label": f"drawn/b{number}.mhd", **part})
    (folder / "list.json").write_text(json.dumps(rows))
    return folder / "list.json"


def turned(folder: Path, count: int = 8) -> None:
    """Photographs with an EXIF rotation, NAME.jpg, and NAME_mask.png drawn on the rotated picture."""
    folder.mkdir(parents=True)
    for number in range(count):
        picture, disc = photograph(number)
        exif = Image.Exif()
        exif[0x0112] = 6  # shown after a rotation by 90 degrees to the right
        picture.transpose(Image.Transpose.ROTATE_90).save(
            folder / f"IMG{number}.jpg", exif=exif, quality=95
        )
        mask = Image.fromarray(np.where(disc, 255, 0).astype(np.uint8))
        mask.save(folder / f"IMG{number}_mask.png")


def apart(folder: Path, count: int = 8) -> None:
    """images/NAME.png in grey, masks/whole/NAME.png and masks/core/NAME.png."""
    for number in range(count):
        picture, disc = photograph(number)
        core = ndimage.binary_erosion(disc, iterations=4)
        shown = {"images": picture.convert("L")}
        for name, mask in (("whole", disc), ("core", core)):
            shown[f"masks/{name}"] = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
        for place, one in shown.items():
            (folder / place).mkdir(parents=True, exist_ok=True)
            one.save(folder / place / f"cell{number}.png")


def slicer(folder: Path, cases: int = 7) -> None:
    """NAME.nrrd beside NAME.seg.nrrd as 3D Slicer writes them: the codes of segments differ between files."""
    import SimpleITK

    shown = {"large": "0.5 0.68 0.31", "small": "0.9 0.1 0.2"}
    for number in range(cases):
        label, path = blocks(number), folder / f"p{number}.seg.nrrd"
        codes = {"large": 1, "small": 2} if number % 2 else {"large": 7, "small": 1}
        write_volume(folder / f"p{number}.nrrd", scan_of(label, number), oblique())
        own = np.array([0, codes["large"], codes["small"]], np.uint8)[label]
        write_volume(path, own, oblique())
        image = SimpleITK.ReadImage(str(path))
        for place, name in enumerate(sorted(codes, key=codes.__getitem__)):
            for key, value in (
                ("ID", f"Segment_{place + 1}"), ("Name", name), ("Color", shown[name]),
                ("LabelValue", str(codes[name])), ("Layer", "0"), ("Extent", "0 9 0 9 0 9"),
            ):  # fmt: skip
                image.SetMetaData(f"Segment{place}_{key}", value)
        SimpleITK.WriteImage(image, str(path), useCompression=True)


def oblique(mirrored: bool = False) -> NDArray[np.float64]:
    """An affine with three rotations and spacings 0.9, 1.1 and 5 mm; right- or left-handed."""
    turned = np.eye(3)
    for axis, angle in enumerate((0.2, -0.3, 0.5)):
        one, other = [i for i in range(3) if i != axis]
        turn = np.eye(3)
        turn[[one, one, other, other], [one, other, one, other]] = (
            np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle),
        )  # fmt: skip
        turned = turned @ turn
    affine = np.eye(4)
    affine[:3, :3] = turned * np.array([-0.9 if mirrored else 0.9, 1.1, 5.0])
    affine[:3, 3] = (-20.0, 31.5, 7.25)
    return affine


def _either(path: Path, data: NDArray[np.generic], affine: NDArray[np.float64]) -> None:
    (save if path.name.endswith(".nii.gz") else write_volume)(path, data, affine)


def synapse_prepared(folder: Path, training: tuple[int, ...], test: tuple[int, ...]) -> None:
    """train_npz and test_vol_h5 with eight organs as stripes, float32 in [0, 1], and the lists."""
    import h5py

    for name in ("train_npz", "test_vol_h5"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    slices = []
    for number in (*training, *test):
        label = np.zeros((4, 32, 32), np.float32)
        for code in range(1, 9):
            label[1:, 3 * code : 3 * code + 3, 6:22] = code
        noise = np.random.default_rng(number).random(label.shape)
        image = (0.1 * label + 0.2 * noise).astype(np.float32)
        image[0] = 0  # a black slice above the body
        if number in test:
            with h5py.File(folder / "test_vol_h5" / f"case{number:04d}.npy.h5", "w") as file:
                file["image"], file["label"] = image, label
            continue
        for index in range(len(image)):
            slices.append(f"case{number:04d}_slice{index:03d}")
            path = folder / "train_npz" / f"{slices[-1]}.npz"
            np.savez(path, image=image[index], label=label[index])
    lists = folder / "lists" / "lists_Synapse"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(slices[::-1]) + "\n")
    (lists / "test_vol.txt").write_text("".join(f"case{number:04d}\n" for number in test))
