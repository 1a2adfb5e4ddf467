"""``prepare`` writes a valid data set from any folder, or reports an error in one sentence."""

import gzip
import io
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from semiseg.console import Quiet
from semiseg.data.check import check_data
from semiseg.errors import UserError
from semiseg.workflows.prepare import prepare

EXAMPLES = int(os.environ.get("SEMISEG_EXAMPLES", "120"))
FOLDERS = (
    "", "images", "labels", "masks", "imagesTr", "labelsTr", "train/images", "train/masks",
    "test/images", "test/labels", "a/b/images", "overlay", "data", "training/patient001",
    "data/case_00001", "train_npz", "test_vol_h5",
    "ISIC2018_Task1-2_Training_Input", "train/Images", "train/Annotation",
)  # fmt: skip
STEMS = ("semiseg", "case0001_slice000", "a", "b", "A", "a_ED", "a_ES", "b_seg", "a_mask", "b_gt",
         "x\ny", "ü" * 3, "..", "…", "-o", "c d",
         "\x1b[31m", "con", "n" * 200, "imaging", "segmentation", "patient001_frame01",
         "patient001_frame01_gt", "ISIC_0000001", "a_0000", "a_0001")  # fmt: skip
NIFTI = (".nii", ".nii.gz")
PICTURES = (".png", ".jpg", ".bmp", ".tif", ".jpeg", ".PNG")
ITK = (".mha", ".nrrd", ".mhd", ".seg.nrrd")
ARRAYS = (".npz", ".npy", ".npy.h5")
OTHERS = (".h5", ".json", ".txt", "", ".mat", ".csv")
DTYPES = ("uint8", "int8", "int16", "uint16", "int32", "float32", "float64", "int64", "uint32")
CODES = ((0, 1), (0, 255), (0, 1, 2), (0, 3), (0,), (7,), (0, 300), (-1, 0), (0, 0.5), (1, 2))
ODDITIES = (
    "",
    "",
    "",
    "",
    "",
    "nan",
    "infinite",
    "constant",
    "huge",
    "series",
    "flat",
    "long",
    "tiny",
)
SPOILT = (
    "",
    "",
    "",
    "",
    "",
    "",
    "cut",
    "noise",
    "flip",
    "empty",
    "folder",
    "link",
    "dangling",
    "header",
)


@st.composite
def entries(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A random list of files: mostly matching pairs, so that many succeed, and a few others."""
    kind = draw(st.sampled_from(("nifti", "pictures")))
    suffix = draw(
        st.sampled_from((*NIFTI, *NIFTI, ".mha", ".nrrd") if kind == "nifti" else PICTURES[:2])
    )
    plan = []
    codes = draw(st.sampled_from(CODES[:3] if kind == "nifti" else CODES[:2]))
    shape = draw(st.tuples(*[st.integers(2, 9)] * 3))
    for number in range(draw(st.integers(1, 5))):
        seed = draw(st.integers(0, 999))
        for folder, role in (("images", "image"), ("labels", "label")):
            if role == "label" and number and draw(st.booleans()):
                continue
            plan.append(
                {"place": f"{folder}/case{number}{suffix}", "role": role, "codes": codes, "shape": shape,
                 "dtype": "uint8" if role == "label" else "int16", "odd": "", "spoilt": "", "seed": seed}
            )  # fmt: skip
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 2, 3)))):
        folder, stem = draw(st.sampled_from(FOLDERS)), draw(st.sampled_from(STEMS))
        ending = draw(st.sampled_from(NIFTI + PICTURES + ITK + ARRAYS + OTHERS))
        plan.append(
            {"place": f"{folder}/{stem}{ending}".lstrip("/"),
             "role": draw(st.sampled_from(("image", "label"))),
             "codes": draw(st.sampled_from(CODES)), "shape": draw(st.tuples(*[st.integers(1, 7)] * 3)),
             "dtype": draw(st.sampled_from(DTYPES)), "odd": draw(st.sampled_from(ODDITIES)),
             "spoilt": draw(st.sampled_from(SPOILT)), "seed": draw(st.integers(0, 999))}
        )  # fmt: skip
    for entry in plan:
        if draw(st.integers(0, 39)) == 39:
            entry["odd"] = draw(st.sampled_from(ODDITIES))
        if draw(st.integers(0, 39)) == 39:
            entry["spoilt"] = draw(st.sampled_from(SPOILT))
    return plan


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "classes": st.sampled_from((None, ["a"], ["a", "b"], ["3=x", "1=y"], ["255=x"])),
        "max_side": st.sampled_from((4, 512)),
        "layout": st.sampled_from(
            (
                None,
                None,
                None,
                "nifti",
                "pictures",
                "acdc",
                "kits19",
                "crag",
                "acdc-hdf5",
                "nnunet",
                "decathlon",
                "manifest",
                "synapse-prepared",
                "btcv",
                "isic2018",
            )
        ),
        "parts": st.sampled_from(((1.0, 0.0, 0.0), (0.5, 0.25, 0.25))),
        "patient_pattern": st.sampled_from((None, "case.", "(.)", "x")),
    },
)


def values(entry: dict[str, Any]) -> np.ndarray:
    rng = np.random.default_rng(entry["seed"])
    shape = tuple(entry["shape"])
    odd = entry["odd"]
    shape = {"series": (*shape, 3), "flat": shape[:2], "long": (1, 1, 300), "tiny": (1, 1, 1)}.get(
        odd, shape
    )
    if entry["role"] == "label":
        array = rng.choice(np.array(entry["codes"], float), shape)
    else:
        array = rng.normal(50, 30, shape)
    if odd == "constant":
        array[...] = 4
    if odd == "huge":
        array *= 1e300
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        dtype = "float64" if odd in ("nan", "infinite", "huge") else entry["dtype"]
        array = array.astype(dtype)
    if odd in ("nan", "infinite"):
        array.flat[0] = np.nan if odd == "nan" else np.inf
    return array


def content(entry: dict[str, Any], scratch: Path) -> bytes:
    """The content of a file in the format of its name."""
    name, array = entry["place"].lower(), values(entry)
    if name.endswith(NIFTI):
        affine = np.diag([1.5, 1.5, 8.0, 1.0])
        if array.dtype in (np.int64, np.uint32):
            array = array.astype(np.int32)
        raw = nibabel.Nifti1Image(array, affine).to_bytes()
        return gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw
    if name.endswith(ITK):
        image = SimpleITK.GetImageFromArray(
            np.clip(np.nan_to_num(array), -3e4, 3e4).astype(np.int16)
        )
        if name.endswith(".seg.nrrd"):
            image.SetMetaData("Segment0_Name", "a")
            image.SetMetaData("Segment0_LabelValue", str(entry["codes"][-1]))
        path = scratch / f"scratch{'.mha' if name.endswith('.mhd') else Path(name).suffix}"
        SimpleITK.WriteImage(image, str(path), bool(entry["seed"] % 2))
        written = path.read_bytes()
        path.unlink()
        return written
    if name.endswith(".npz"):
        held = io.BytesIO()
        np.savez(held, image=array, label=array > 50)
        return held.getvalue()
    if name.endswith(".npy"):
        held = io.BytesIO()
        np.save(held, array if entry["seed"] % 2 else array.reshape(array.shape[0], -1))
        return held.getvalue()
    if name.endswith(tuple(p.lower() for p in PICTURES)):
        flat = array.reshape(array.shape[0], -1)
        if entry["seed"] % 7 == 0 and name.endswith((".png", ".tif")):
            picture = Image.fromarray(np.clip(np.nan_to_num(flat), 0, 60000).astype(np.uint16))
        else:
            eight = np.clip(np.nan_to_num(flat), 0, 255).astype(np.uint8)
            colour = entry["role"] == "image" and entry["seed"] % 2
            picture = Image.fromarray(np.stack([eight] * 3, -1) if colour else eight)
        path = scratch / f"scratch{Path(name).suffix}"
        picture.save(path)
        written = path.read_bytes()
        path.unlink()
        return written
    if name.endswith(".csv"):
        rows = (
            "images/case0.nii.gz,labels/case0.nii.gz",
            "images/case1.mha,",
            "../x.nii,",
            "a,b,c",
            "",
        )
        return "\n".join(["image,label", *rows[entry["seed"] % 5 :]]).encode()
    return (
        b'{"labels": {"0": "background", "1": "x"}}' if name.endswith(".json") else array.tobytes()
    )


def build(plan: list[dict[str, Any]], source: Path) -> None:
    source.mkdir()
    for entry in plan:
        path = source / entry["place"]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = content(entry, source.parent)
            rng = np.random.default_rng(entry["seed"])
            if entry["spoilt"] == "cut":
                whole = whole[: int(rng.integers(0, len(whole) + 1))]
            elif entry["spoilt"] == "noise":
                whole = rng.bytes(len(whole))
            elif entry["spoilt"] == "flip":
                spoilt = bytearray(whole)
                for position in rng.integers(0, len(spoilt), 5):
                    spoilt[position] ^= 1 << int(rng.integers(0, 8))
                whole = bytes(spoilt)
            elif entry["spoilt"] == "header":
                spoilt = bytearray(gzip.decompress(whole) if whole[:2] == b"\x1f\x8b" else whole)
                for position in rng.integers(0, min(len(spoilt), 352), 6):
                    spoilt[position] = int(rng.integers(0, 256))
                whole = (
                    gzip.compress(bytes(spoilt), mtime=0)
                    if whole[:2] == b"\x1f\x8b"
                    else bytes(spoilt)
                )
            elif entry["spoilt"] == "empty":
                whole = b""
            if entry["spoilt"] == "folder":
                path.mkdir()
            elif entry["spoilt"] == "link":
                path.symlink_to(source)
            elif entry["spoilt"] == "dangling":
                path.symlink_to(source / "nowhere")
            else:
                path.write_bytes(whole)
        except OSError:  # the file system refuses the name, or the file exists
            continue


def pair(place: str, **change: Any) -> list[dict[str, Any]]:
    """Three valid cases, and something else at ``place``."""
    plain = {"codes": (0, 1), "shape": (6, 5, 4), "odd": "", "spoilt": "", "seed": 1}
    plan = [
        plain | {"place": f"{folder}/case{n}.nii.gz", "role": role, "seed": n,
                 "dtype": "uint8" if role == "label" else "int16"}
        for n in range(3)
        for folder, role in (("images", "image"), ("labels", "label"))
    ]  # fmt: skip
    return [*plan, plain | {"place": place, "role": "image", "dtype": "int16"} | change]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="CI" in os.environ or EXAMPLES == 120,
    suppress_health_check=list(HealthCheck),
)
@given(plan=entries(), options=OPTIONS, jobs=st.sampled_from((1, 3)))
@example(plan=pair("images/case9.nii.gz"), options={}, jobs=1)
@example(plan=pair("images/x\ny.nii"), options={}, jobs=1)
@example(plan=pair("images/z.nii", spoilt="link"), options={}, jobs=1)
@example(plan=pair("images/z.nii", spoilt="dangling"), options={}, jobs=3)
@example(plan=pair("images/z.nii", spoilt="folder"), options={}, jobs=1)
@example(plan=pair("images/z.mha", spoilt="dangling"), options={}, jobs=1)
@example(plan=pair("images/z.nrrd", spoilt="folder"), options={}, jobs=1)
def test_a_sound_data_set_or_one_sentence(
    plan: list[dict[str, Any]], options: dict[str, Any], jobs: int
) -> None:
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unusual sizes of pictures and values in headers
        folder = Path(name)
        build(plan, folder / "source")
        before = sorted(folder.rglob("*"))
        try:
            manifest = prepare(
                folder / "source", folder / "data", jobs=jobs, console=Quiet(), **options
            )
        except UserError as error:
            sentence = str(error)
            assert sentence.isprintable()
            assert 20 < len(sentence) < 1200
            kept = folder / ".data.partial"  # cases that could be read, for the next try
            left = [path for path in folder.rglob("*") if kept not in (path, *path.parents)]
            assert sorted(left) == before
            return
        assert check_data(folder / "data").manifest == manifest
        assert sorted(path.name for path in folder.iterdir()) == ["data", "source"]
        assert prepare(folder / "source", folder / "data", console=Quiet(), **options) == manifest


def test_both_ends_are_reached() -> None:
    """Both outcomes occur: the property also holds if `prepare` refuses everything."""
    ends = {True: 0, False: 0}

    @settings(max_examples=40, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(plan=entries())
    def tried(plan: list[dict[str, Any]]) -> None:
        with tempfile.TemporaryDirectory() as name:
            build(plan, Path(name) / "source")
            try:
                prepare(Path(name) / "source", Path(name) / "data", console=Quiet(), dry_run=True)
            except UserError:
                ends[False] += 1
            else:
                ends[True] += 1

    tried()
    assert ends[True] >= 8
    assert ends[False] >= 8
