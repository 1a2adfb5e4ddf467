"""Image files in and out: NIfTI and pictures; every reader refuses nonsense.

``prepare`` reads with these functions and ``predict`` does too, so that a network sees an image in
one and the same form.
"""

import dataclasses
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.data.volume import Volume
from semiseg.errors import UserError
from semiseg.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

NIFTI_SUFFIXES = (".nii", ".nii.gz")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
IMAGE_SUFFIXES = NIFTI_SUFFIXES + PICTURE_SUFFIXES

CLEARLY_LARGER = 1.2  # a slice distance, as a multiple of the spacing within slices
LABEL_TOLERANCE = 1e-3  # how far from an integer a stored class code may lie
GRID_TOLERANCE = 0.1  # how far two grids may lie apart, as a part of the smallest spacing
LARGEST_CODE = 63  # pictures: larger values are grey levels, not class codes


def suffix_of(path: Path) -> str:
    """The image suffix in lower case (``.nii.gz`` as a whole), or an empty string."""
    name = path.name.lower()
    return next((s for s in sorted(IMAGE_SUFFIXES, key=len, reverse=True) if name.endswith(s)), "")


def stem_of(path: Path) -> str:
    """The file's name without its image suffix."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def compact(image: NDArray[Any], name: str | Path) -> NDArray[np.generic]:
    """The image as int16 where that is exact, else float32.

    Raises:
        UserError: for an image that is empty, constant, or holds NaN or infinity.
    """
    if image.size == 0:
        raise UserError(
            f"{name} is empty (shape {times(image.shape)}): leave it out or export it again."
        )
    if image.dtype.kind not in "biuf":
        raise UserError(f"{name} holds {image.dtype} values: export it with plain intensities.")
    low, high = image.min(), image.max()
    if not (np.isfinite(low) and np.isfinite(high)):  # NaN survives min and max
        raise UserError(f"{name} holds NaN or infinite values: repair it or leave it out.")
    if low == high:
        raise UserError(f"{name} is constant (every value is {low:g}): repair it or leave it out.")
    bounds = np.iinfo(np.int16)
    whole = image.dtype.kind in "biu" or bool((image == np.rint(image)).all())
    if whole and low >= bounds.min and high <= bounds.max:
        return np.ascontiguousarray(image, np.int16)
    if max(abs(float(low)), abs(float(high))) > np.finfo(np.float32).max:
        raise UserError(f"{name} holds values beyond 3e38: repair it or leave it out.")
    return np.ascontiguousarray(image, np.float32)


def as_codes(label: NDArray[Any], name: str | Path) -> NDArray[np.uint8]:
    """Class codes as uint8.

    Raises:
        UserError: for values that are no integers (tolerance 1e-3) or lie outside 0..255.
    """
    if label.dtype.kind not in "biuf":
        raise UserError(f"{name} holds {label.dtype} values: a label needs one class code a voxel.")
    if label.dtype.kind == "f":
        rounded = np.rint(label)
        if not bool((np.abs(label - rounded) <= LABEL_TOLERANCE).all()):  # False for NaN
            raise UserError(
                f"{name} is no label (it holds values that are not whole numbers): "
                "export class codes 0, 1, 2, ... without interpolation."
            )
        label = rounded
    if label.size and (label.min() < 0 or label.max() > 255):
        raise UserError(
            f"{name} holds class codes from {label.min():g} to {label.max():g}: use 0 to 255."
        )
    return np.ascontiguousarray(label, np.uint8)


# ---------------------------------------------------------------------------------------- NIfTI


def slice_axis_of(shape: tuple[int, ...], spacing: tuple[float, ...]) -> int:
    """Which of three axes counts the slices.

    The one of a single voxel; else the one whose spacing is more than 1.2 times the others';
    else the last.
    """
    single = [axis for axis in range(3) if shape[axis] == 1]
    if len(single) == 1:
        return single[0]
    widest = int(np.argmax(spacing))
    others = [spacing[axis] for axis in range(3) if axis != widest]
    return widest if spacing[widest] > CLEARLY_LARGER * max(others) else 2


def time_points(path: Path | str) -> int:
    """How many 3D images a 4D file holds; reads the header only.

    Raises:
        UserError: for a file that is unreadable, or has no fourth axis.
    """
    shape = _open_nifti(Path(path)).shape
    if len(shape) != 4:
        raise UserError(f"{path} has {len(shape)} axes where a series of 3D images is meant.")
    return int(shape[3])


def read_nifti(path: Path | str, channels: int = 1, time_point: int | None = None) -> Volume:
    """Read an image (no label) with its geometry.

    Args:
        path: a .nii or .nii.gz file; two axes (one slice) or three, and a fourth for channels.
        channels: what the fourth axis must count; with 1 it may be absent.
        time_point: this one (from 0) of a series, whose fourth axis is time; no other is read.

    Returns:
        image [D, C, H, W] int16 where exact, else float32; slices along :func:`slice_axis_of`.

    Raises:
        UserError: for a file that is unreadable, truncated, empty, constant, holds NaN, or has
            other axes.
    """
    path = Path(path)
    header, data = _load_nifti(path, time_point)
    data = _four_axes(data, path, channels)
    affine = np.asarray(header.affine, np.float64)
    source = _nifti_spacing(header, path)
    axis = slice_axis_of(data.shape, source)
    image = np.moveaxis(np.moveaxis(data, axis, 0), 3, 1)
    in_slice = [source[other] for other in range(3) if other != axis]
    spacing = (source[axis], in_slice[0], in_slice[1])
    return Volume(compact(image, path), None, spacing, affine, axis)


def read_nifti_label(path: Path | str, like: Volume) -> NDArray[np.uint8]:
    """Read the label of the image ``like``, with the same slice axis: [D, H, W].

    Raises:
        UserError: for an unreadable file, another shape or grid than the image's, or values that
            are no class codes.
    """
    path = Path(path)
    header, data = _load_nifti(path)
    data = _four_axes(data, path, 1)[..., 0]
    label = np.moveaxis(data, like.slice_axis, 0)
    depth, _, height, width = like.image.shape
    if label.shape != (depth, height, width):
        expected = np.moveaxis(np.empty((depth, height, width), bool), 0, like.slice_axis).shape
        raise UserError(
            f"{path} has shape {times(data.shape)} but its image has {times(expected)}: "
            "export the label on the image's grid."
        )
    if like.affine is not None:
        apart = _apart(np.asarray(header.affine, np.float64), like.affine, data.shape)
        smallest = min(like.spacing) if like.spacing else 1.0
        if not apart <= GRID_TOLERANCE * smallest:
            raise UserError(
                f"{path} lies up to {apart:.3g} mm away from its image (their affines differ): "
                "resample the label to the image's grid."
            )
    return as_codes(label, path)


def orientation(affine: NDArray[np.float64]) -> str:
    """Where the source's axes point, such as ``RAS``."""
    import nibabel

    return "".join(code or "?" for code in nibabel.aff2axcodes(affine))


def write_nifti_mask(
    path: Path | str, mask: NDArray[np.integer[Any]], reference_path: Path | str
) -> None:
    """Write class codes on the grid, affine and header of the image they were predicted from.

    Args:
        path: the .nii or .nii.gz file to write; never seen half-written.
        mask: [D, H, W] with the slices of :func:`read_nifti`.
        reference_path: the image.

    Raises:
        UserError: where the shapes differ or the file cannot be written.
    """
    _write_nifti(Path(path), np.asarray(mask, np.uint8)[None], Path(reference_path), np.uint8)


def write_nifti_probabilities(
    path: Path | str, probabilities: NDArray[np.floating[Any]], reference_path: Path | str
) -> None:
    """Write [K, D, H, W] probabilities as a float32 file of four axes, the classes last.

    Raises:
        UserError: where the shapes differ or the file cannot be written.
    """
    data = np.asarray(probabilities, np.float32)
    _write_nifti(Path(path), data, Path(reference_path), np.float32)


def _write_nifti(path: Path, data: NDArray[Any], reference_path: Path, dtype: type) -> None:
    import nibabel

    reference = _open_nifti(reference_path)
    shape = (*reference.shape, 1, 1)[:3]
    axis = slice_axis_of(shape, _nifti_spacing(reference, reference_path))
    restored = np.moveaxis(np.moveaxis(data, 0, -1), 0, axis)
    if restored.shape[:3] != shape:
        raise UserError(
            f"{path}: a result of {times(restored.shape[:3])} voxels does not fit its image "
            f"{reference_path} of {times(shape)}: predict from that image."
        )
    if dtype is np.uint8:
        restored = restored[..., 0].reshape(reference.shape[:3])  # two axes stay two
    header = reference.header.copy()
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    with replacing(path) as partial:
        image = type(reference)(np.ascontiguousarray(restored), reference.affine, header)
        nibabel.save(image, partial)


def _open_nifti(path: Path) -> Any:
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    if not path.is_file():
        raise UserError(f"{path} does not exist: check the path.")
    try:
        return nibabel.load(path)
    except (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError):
        raise damaged(path, "a NIfTI image") from None


def _load_nifti(path: Path, time_point: int | None = None) -> tuple[Any, NDArray[Any]]:
    header = _open_nifti(path)
    try:
        proxy = header.dataobj
        return header, np.asanyarray(proxy if time_point is None else proxy[..., time_point])
    except (OSError, EOFError, ValueError, zlib.error):
        raise damaged(path, "a NIfTI image") from None


def _four_axes(data: NDArray[Any], path: Path, channels: int) -> NDArray[Any]:
    """[X, Y], [X, Y, Z] or [X, Y, Z, C] as [X, Y, Z, C]."""
    shape = data.shape
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim == 2:
        data = data[..., None]
    if data.ndim == 3 and channels == 1:
        return data[..., None]
    if data.ndim == 4 and data.shape[3] == channels:
        return data
    if data.ndim < 3 or channels > 1:
        raise UserError(
            f"{path} has shape {times(shape)}, not 3 axes and {channels} channels: export it so."
        )
    raise UserError(
        f"{path} has {data.ndim} axes ({times(shape)}) where a 3D image is meant: "
        "save each time point or channel as its own 3D file."
    )


def _nifti_spacing(header: Any, path: Path) -> tuple[float, float, float]:
    spacing = np.linalg.norm(np.asarray(header.affine, np.float64)[:3, :3], axis=0)
    if not (np.isfinite(header.affine).all() and (spacing > 0).all()):
        raise UserError(f"{path} has no valid spacing in its header: repair the affine.")
    # Headers are float32: 0.7 stays 0.7 in what people read.
    first, second, third = (float(f"{value:.6g}") for value in spacing)
    return first, second, third


def _apart(one: NDArray[Any], other: NDArray[Any], shape: tuple[int, ...]) -> float:
    """The largest distance in mm between equal corners of two grids."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape[:3]) - 1)
    homogeneous = np.concatenate([corners, np.ones((8, 1))], axis=1)
    return float(np.linalg.norm(homogeneous @ (one - other)[:3].T, axis=1).max())


# ------------------------------------------------------------------------------------- pictures


def picture_channels(path: Path) -> int:
    """1 for a grey picture, 3 for a coloured one; reads the header only."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            return 1 if file.mode in ("1", "L", "LA") else 3
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        raise damaged(path, "a picture") from None


def read_picture(
    path: Path | str, channels: int | None = None, max_side: int | None = None
) -> Volume:
    """Read an 8-bit picture: image [1, C, H, W] uint8, turned as its EXIF entry says.

    Args:
        path: a PNG, JPEG, BMP or TIFF file.
        channels: 1 (grey) or 3 (RGB); None keeps what the file has. Transparency is dropped.
        max_side: a larger picture is reduced to this longer side, antialiased.

    Raises:
        UserError: for a file that is unreadable, constant, has 16 bits or several pages.
    """
    from PIL import Image

    path = Path(path)
    picture, _ = _open_picture(path)
    if picture.mode.startswith(("I", "F")):
        raise UserError(
            f"{path} has {picture.mode} pixels (more than 8 bits): convert it to 8 bits a channel, "
            "or to NIfTI to keep its range."
        )
    if channels is None:
        channels = 1 if picture.mode in ("1", "L", "LA") else 3
    picture = picture.convert("L" if channels == 1 else "RGB")
    size = _reduced(picture.size, max_side)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    array = np.asarray(picture, np.uint8)
    compact(array, path)
    if array.ndim == 2:
        array = array[..., None]
    return Volume(np.ascontiguousarray(np.moveaxis(array, 2, 0)[None]))


@dataclasses.dataclass(frozen=True)
class PictureMask:
    """A mask and how its file wrote it.

    Attributes:
        codes: [H, W] uint8 class codes.
        encoding: ``codes`` as they stood; ``binary`` two values; ``lossy`` two values with grey
            rims, cut at half; ``empty`` nothing marked.
    """

    codes: NDArray[np.uint8]
    encoding: Literal["empty", "codes", "binary", "lossy"]


def read_picture_mask(
    path: Path | str, shape: tuple[int, int] | None = None, max_side: int | None = None
) -> PictureMask:
    """Read a mask of class codes, of black and white, or of black and white with lossy rims.

    Args:
        path: the mask's file.
        shape: (height, width) that the whole mask must have: its picture's.
        max_side: a larger mask is reduced to this longer side by nearest neighbour.

    Raises:
        UserError: for an unreadable or coloured mask, another shape, or grey levels that are
            neither codes nor two values.
    """
    from PIL import Image

    path = Path(path)
    picture, file_format = _open_picture(path)
    if shape is not None:
        _check_mask_size(picture, shape, path)
    decoded = _decode(_grey(picture, path), path, lossy=file_format in ("JPEG", "MPO"))
    size = _reduced(picture.size, max_side)
    if size == picture.size:
        return decoded
    small = Image.fromarray(decoded.codes).resize(size, Image.Resampling.NEAREST)
    return PictureMask(np.asarray(small, np.uint8), decoded.encoding)


def read_instances(
    path: Path | str, shape: tuple[int, int], max_side: int | None = None
) -> NDArray[np.uint8]:
    """A mask that numbers single objects (of 8 or 16 bits) as 0 and 1: [H, W] uint8.

    Raises:
        UserError: for an unreadable or coloured mask, or another shape than the picture's.
    """
    from PIL import Image

    path = Path(path)
    picture, _ = _open_picture(path)
    _check_mask_size(picture, shape, path)
    values = np.asarray(picture)
    if values.ndim != 2:
        raise UserError(f"{path} is coloured: a mask of numbered objects has one value a pixel.")
    codes = Image.fromarray((values > 0).astype(np.uint8))
    size = _reduced(codes.size, max_side)
    return np.asarray(codes.resize(size, Image.Resampling.NEAREST), np.uint8)


def _check_mask_size(picture: "Picture", shape: tuple[int, int], path: Path) -> None:
    if picture.size != (shape[1], shape[0]):
        raise UserError(
            f"{path} has {picture.height} x {picture.width} pixels but its picture has "
            f"{shape[0]} x {shape[1]}: export the mask at the picture's size."
        )


def picture_shape(path: Path | str) -> tuple[int, int]:
    """(height, width) of a picture after its EXIF turn; reads the header only."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            width, height = file.size
            turned = file.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        raise damaged(Path(path), "a picture") from None
    return (width, height) if turned else (height, width)


def write_picture_mask(path: Path | str, mask: NDArray[np.integer[Any]], classes: int) -> None:
    """Write a mask as PNG: 0 and 255 where there are two classes, else the codes themselves.

    Args:
        path: the file to write; never seen half-written.
        mask: [H, W] or [1, H, W] class codes.
        classes: how many classes there are, with the background.

    Raises:
        UserError: where the file cannot be written.
    """
    from PIL import Image

    codes = np.asarray(mask, np.uint8).reshape(mask.shape[-2:])
    values = np.where(codes > 0, 255, 0).astype(np.uint8) if classes == 2 else codes
    with replacing(Path(path)) as partial:
        Image.fromarray(values).save(partial, format="PNG")


def _open_picture(path: Path) -> tuple["Picture", str]:
    """The picture, turned as EXIF says and loaded, and its file format."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not path.is_file():
        raise UserError(f"{path} does not exist: check the path.")
    try:
        with Image.open(path) as file:
            file_format = file.format or ""
            pages = getattr(file, "n_frames", 1) if file_format != "MPO" else 1
            picture = ImageOps.exif_transpose(file) if pages == 1 else file
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise damaged(path, "a picture") from None
    if pages > 1:
        raise UserError(f"{path} has {pages} pages: save each as its own picture.")
    return picture, file_format


def _grey(picture: "Picture", path: Path) -> NDArray[Any]:
    """[H, W] of a mask whose channels say the same; palette masks give their indices."""
    if picture.mode == "P":
        # Two greys are black and white in any order; other palettes only colour the codes.
        indices = np.asarray(picture)
        colours = np.asarray(picture.convert("RGB"))
        two = len(np.unique(indices)) <= 2
        if two and bool((colours == colours[..., :1]).all()) and colours.max() >= 128:
            return colours[..., 0]
        return indices
    array = np.asarray(picture)
    if array.ndim == 2:
        return array
    bands = picture.getbands()
    if bands[-1] in ("A", "a"):
        if array[..., -1].min() != array[..., -1].max():
            raise UserError(f"{path} is a transparent mask: save it in black and white.")
        array = array[..., :-1]
    spread = array.max(axis=2).astype(int) - array.min(axis=2)
    if spread.max() > 16:  # JPEG moves the channels apart by a little
        raise UserError(
            f"{path} is a coloured mask (its channels differ): save class codes 0, 1, 2, ... "
            "in one channel."
        )
    first: NDArray[Any] = array[..., 0]
    return first


def _decode(grey: NDArray[Any], path: Path, *, lossy: bool) -> PictureMask:
    if grey.size == 0:
        raise UserError(f"{path} is empty: export it again.")
    values = np.unique(grey)
    top = values[-1]
    if top == 0:
        return PictureMask(np.zeros(grey.shape, np.uint8), "empty")
    if top <= LARGEST_CODE and not lossy and values[0] >= 0:
        return PictureMask(as_codes(grey, path), "codes")
    if top >= 128 and values[0] >= 0 and set(values.tolist()) <= {0, top}:
        return PictureMask((grey > 0).astype(np.uint8), "binary")
    near = np.minimum(np.abs(grey.astype(float)), np.abs(grey.astype(float) - 255)) <= 32
    if top > 255 or near.mean() < 0.9:
        raise UserError(
            f"{path} holds {len(values)} grey levels up to {top:g} and is neither class codes nor "
            "black and white: save class codes 0, 1, 2, ... as PNG."
        )
    codes = (grey >= 128).astype(np.uint8)
    return PictureMask(codes, "lossy" if codes.any() else "empty")


def _reduced(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    if max_side is None or max(size) <= max_side:
        return size
    scale = max_side / max(size)
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


# --------------------------------------------------------------------------------------- shared


def times(shape: tuple[int, ...]) -> str:
    """A shape as people write it: ``10 x 256 x 256``."""
    return " x ".join(str(size) for size in shape) or "no axes"


def damaged(path: Path, what: str) -> UserError:
    """The error for a file that is not what its name says."""
    return UserError(
        f"{path} cannot be read as {what} (truncated or damaged): copy it again or leave it out."
    )
