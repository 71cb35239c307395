"""Photographs and masks from every kind of source."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jiffsdk import ImageError, MaskError, _core
from jiffsdk.engines.device_array import DeviceArray
from jiffsdk.images import load_mask, load_photo

HEIGHT_PX, WIDTH_PX = 80, 100


@pytest.fixture
def rgb() -> np.ndarray:
    rows, columns = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX]
    return np.stack([rows * 3, columns * 2, (rows + columns) % 256], axis=2).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_every_source_gives_the_same_pixels(rgb: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(rgb)
    path = tmp_path / "photo.png"
    image.save(path)
    with path.open("rb") as stream:
        content = path.read_bytes()
        for source in (path, str(path), content, io.BytesIO(content), stream, image, rgb, rgb / 255.0):
            photo = load_photo(source)
            np.testing.assert_array_equal(photo.rgb, rgb)
            assert photo.rgb.dtype == np.uint8 and photo.rgb.flags["C_CONTIGUOUS"]
            assert photo.alpha is None


def test_arrays_need_not_be_contiguous(rgb: np.ndarray) -> None:
    np.testing.assert_array_equal(load_photo(rgb[:, ::-1]).rgb, rgb[:, ::-1])


def test_bool_arrays_are_no_less_an_image() -> None:
    flags = np.zeros((70, 70), bool)
    flags[10:20] = True
    np.testing.assert_array_equal(load_photo(flags).rgb[..., 1], flags * 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(rgb: np.ndarray, orientation: int) -> None:
    stored = {
        1: rgb,
        2: rgb[:, ::-1],
        3: rgb[::-1, ::-1],
        4: rgb[::-1],
        5: rgb.transpose(1, 0, 2),
        6: np.rot90(rgb),
        7: np.rot90(rgb, 2).transpose(1, 0, 2),
        8: np.rot90(rgb, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(load_photo(source).rgb, rgb)


def test_alpha_counts_unless_it_is_opaque(rgb: np.ndarray) -> None:
    alpha = np.full((HEIGHT_PX, WIDTH_PX), 255, np.uint8)
    assert load_photo(np.dstack([rgb, alpha])).alpha is None
    assert load_photo(Image.fromarray(np.dstack([rgb, alpha]))).alpha is None
    alpha[3, 4] = 7
    for source in (np.dstack([rgb, alpha]), encoded(Image.fromarray(np.dstack([rgb, alpha])))):
        photo = load_photo(source)
        np.testing.assert_array_equal(photo.rgb, rgb)
        np.testing.assert_array_equal(photo.alpha, alpha)


def test_palette_with_transparency_has_alpha(rgb: np.ndarray) -> None:
    image = Image.fromarray(rgb // 64 * 64).quantize(16)
    source = encoded(image, transparency=image.getpixel((0, 0)))
    photo = load_photo(source)
    assert photo.alpha is not None and photo.alpha[0, 0] == 0 and photo.alpha.max() == 255


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LA"])
def test_other_modes_become_rgb(rgb: np.ndarray, mode: str) -> None:
    image = Image.fromarray(rgb).convert(mode)
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    photo = load_photo(encoded(image, kind))
    np.testing.assert_array_equal(photo.rgb, np.asarray(image.convert("RGB")))


def test_sixteen_bit_greys_are_scaled() -> None:
    greys = np.linspace(0, 65535, 70 * 70).reshape(70, 70).astype(np.uint16)
    photo = load_photo(encoded(Image.fromarray(greys)))
    np.testing.assert_array_equal(photo.rgb[..., 0], np.rint(greys / 257.0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_file(rgb: np.ndarray, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo"
    content = encoded(Image.fromarray(rgb), kind)
    path.write_bytes(content[: 2 * len(content) // 3])
    with pytest.raises(ImageError, match=r"photo' is damaged or incomplete.*again"):
        load_photo(path)


@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\x89PNG\r\n\x1a\n", bytes(1000)])
def test_bytes_that_are_no_image(content: bytes) -> None:
    with pytest.raises(ImageError, match=rf"{len(content)} bytes.*(PNG|again)"):
        load_photo(content)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no file '.*absent.jpg'.*check"):
        load_photo(tmp_path / "absent.jpg")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=str(tmp_path)):
        load_photo(tmp_path)


@pytest.mark.parametrize("shape", [(1, 1), (63, 200), (200, 63)])
def test_too_small(shape: tuple[int, int]) -> None:
    for source in (np.zeros((*shape, 3), np.uint8), encoded(Image.new("RGB", shape[::-1]))):
        with pytest.raises(ImageError, match=f"{shape[1]} x {shape[0]} px; at least 64 px"):
            load_photo(source)


def test_too_large_is_refused_before_decoding() -> None:
    header_only = encoded(Image.new("1", (9000, 9000)))[:200]
    with pytest.raises(ImageError, match="9000 x 9000 px, more than 80 megapixels; scale"):
        load_photo(header_only)


def test_a_decompression_bomb_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        bomb = encoded(Image.new("1", (20000, 20000)))
    with pytest.raises(ImageError, match="400000000 pixels.*scale"):
        load_photo(bomb)
    with pytest.raises(MaskError, match="400000000 pixels.*scale"):
        load_mask(bomb, 20000, 20000)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((70, 70, 2), np.uint8), r"shape .*got \(70, 70, 2\)"),
        (np.zeros((70,), np.uint8), r"got \(70,\)"),
        (np.zeros((70, 70, 3), np.int64), "int64"),
        (np.zeros((70, 70, 3), np.uint16), "uint16"),
        (np.full((70, 70, 3), 255.0), r"\[0, 1\], got 255 to 255"),
        (np.full((70, 70, 3), np.nan), r"\[0, 1\], got nan"),
        (np.zeros((70, 70), object), "object"),
        (np.zeros((0, 0, 3), np.float32), "float32"),
    ],
)
def test_arrays_that_are_no_image(array: np.ndarray, expected: str) -> None:
    with pytest.raises(ImageError, match=expected):
        load_photo(array)


def test_something_else_altogether() -> None:
    with pytest.raises(ImageError, match="must be a path.*got int"):
        load_photo(3)  # type: ignore[arg-type]


def test_every_mask_source_gives_the_same_mask(rgb: np.ndarray, tmp_path: Path) -> None:
    flags = rgb[..., 0] > 100
    expected = flags.astype(np.uint8) * np.uint8(255)
    path = tmp_path / "mask.png"
    Image.fromarray(expected).save(path)
    cutout = Image.fromarray(np.dstack([rgb, expected]))
    sources = [path, path.read_bytes(), cutout, flags, expected, flags.astype(np.uint8), flags.astype(float)]
    sources += [expected[..., None], Image.fromarray(expected).convert("1")]
    for source in sources:
        np.testing.assert_array_equal(load_mask(source, WIDTH_PX, HEIGHT_PX), expected)


def test_mask_of_another_size() -> None:
    with pytest.raises(MaskError, match=r"80 x 100 px, the photograph upright 100 x 80 px; give"):
        load_mask(np.zeros((100, 80), np.uint8), WIDTH_PX, HEIGHT_PX)


def test_mask_with_colours() -> None:
    with pytest.raises(MaskError, match=r"\(H, W\), got \(80, 100, 3\)"):
        load_mask(np.zeros((80, 100, 3), np.uint8), WIDTH_PX, HEIGHT_PX)


def test_mask_with_a_wrong_range_or_file(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="got 0 to 255"):
        load_mask(np.linspace(0, 255, 8000).reshape(80, 100), WIDTH_PX, HEIGHT_PX)
    with pytest.raises(MaskError, match="no file"):
        load_mask(tmp_path / "absent.png", WIDTH_PX, HEIGHT_PX)


def test_arrays_of_other_packages_on_the_host(rgb: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    assert np.array_equal(load_photo(torch.from_numpy(rgb)).rgb, rgb)
    mask = rgb[..., 0] > 128
    loaded = load_mask(torch.from_numpy(mask), WIDTH_PX, HEIGHT_PX)
    assert np.array_equal(loaded, load_mask(mask, WIDTH_PX, HEIGHT_PX))


@pytest.mark.skipif(hasattr(_core, "copy_from_gpu"), reason="this build reads them")
def test_arrays_on_a_gpu_need_a_build_with_cuda(rgb: np.ndarray) -> None:
    on_gpu = DeviceArray(rgb.ctypes.data, rgb.shape, rgb.dtype)
    with pytest.raises(ImageError, match="an image array lies on a GPU .* no CUDA; copy it to the host"):
        load_photo(on_gpu)
    with pytest.raises(MaskError, match="a mask array lies on a GPU"):
        load_mask(on_gpu, 10, 10)
