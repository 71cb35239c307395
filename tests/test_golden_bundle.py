"""A full-size bundle made of published weights, against outputs of the published implementation.

A minute of two cores and 4 GB. What engines round is in sums over a volume (group norms), so the errors are
larger than torch's own (`test_golden_paper.py`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

import golden_paper  # noqa: E402
from bundle_reader import BundleReader  # noqa: E402
from jiffexport.assemble import BuildOptions, build_bundle  # noqa: E402
from jiffexport.face_assembly import FaceSources  # noqa: E402
from jiffexport.formats import FormatOptions  # noqa: E402
from jiffexport.nets import PAPER_FACE_SHAPE, sample_features  # noqa: E402
from jiffexport.nets.volume_frame import sample_volume, volume_frame  # noqa: E402
from jiffsdk import EngineError  # noqa: E402
from small_face_model import small_model  # noqa: E402
from test_golden_paper import GOLDEN, SUBSAMPLING, save_published  # noqa: E402
from untrained_checkpoints import face_package_files, save_checkpoint, write_wheel  # noqa: E402

TOLERANCE = {"fp32": 1e-3, "fp16": 5e-2, "bf16": 5e-2}

# Heads of random weights end in a steep sigmoid or hyperbolic tangent, which enlarges the 8 bits of bfloat16:
# a single answer may be anywhere. In bf16 these are judged as a whole, by the length of the difference; in
# docs/export.md stand both numbers.
ANSWERS_OF_HEADS = {"occ_face", "rgb_coarse", "rgb_body", "rgb_face"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`build_engines.py --shape netG --color netC_coarse --fine-color netC …`, compared with golden values
    here instead of with torch."""
    folder = tmp_path_factory.mktemp("golden")
    Image.new("RGB", (64, 64), (120, 90, 60)).save(folder / "photo.png")
    model = folder / "face_model.safetensors"
    model.write_bytes(small_model(len(golden_paper.inputs().vertices)).to_bytes())
    shape = save_published(folder, "netG")
    build_bundle(
        BuildOptions(
            shape=shape,
            color=save_published(folder, "netC_coarse"),
            out=folder / "bundle",
            photographs=(folder / "photo.png",),
            version="1.2.3",
            face_detection=write_wheel(folder / "facenet_pytorch.whl", face_package_files()),
            face=FaceSources(
                model,
                save_checkpoint(folder, "face_regressor"),
                shape,
                save_published(folder, "netC_fine"),
            ),
            store="fp32",
            formats=FormatOptions(("onnx",), ("fp32", "fp16")),
            verify=False,
        )
    )
    return folder / "bundle"


@pytest.mark.parametrize(
    ("engine", "precision"),
    [("onnxruntime", "fp32"), ("openvino", "fp32"), ("onnxruntime", "fp16"), ("openvino", "bf16")],
)
def test_engines_reproduce_the_published_outputs(bundle: Path, engine: str, precision: str) -> None:
    try:
        reader = BundleReader(bundle, engine, precision)
    except EngineError as error:  # no bf16 on this CPU
        pytest.skip(str(error))
    largest, lengths = {}, {}
    for name, values in _outputs(reader).items():
        ours, golden = values[SUBSAMPLING.get(name, ...)], GOLDEN[name].astype(np.float64)
        assert ours.shape == golden.shape, name
        largest[name] = float(np.abs(ours - golden).max() / np.abs(golden).max())
        lengths[name] = float(np.linalg.norm(ours - golden) / np.linalg.norm(golden))
    for kind, errors in (("largest", largest), ("length", lengths)):
        print(engine, precision, kind, {name: f"{error:.1e}" for name, error in errors.items()})
    assert largest.keys() == GOLDEN.keys() - {"seed", "in_face", "region", "calib"}
    if precision == "bf16":
        largest = largest | {name: lengths[name] for name in ANSWERS_OF_HEADS}
    assert max(largest.values()) < TOLERANCE[precision], (largest, lengths)


def test_the_pifu_pair_of_the_same_tensors_gives_the_same_graphs(bundle: Path, tmp_path: Path) -> None:
    """net_G is netG without its face, net_C is netC_coarse."""
    parts = ("image_filter.", "surface_classifier.")
    body = {name: array for name, array in golden_paper.tensors("netG").items() if name.startswith(parts)}
    for name, tensors in (("net_G", body), ("net_C", golden_paper.tensors("netC_coarse"))):
        torch.save({key: torch.from_numpy(array) for key, array in tensors.items()}, tmp_path / name)
    Image.new("RGB", (64, 64), (120, 90, 60)).save(tmp_path / "photo.png")
    build_bundle(
        BuildOptions(
            shape=tmp_path / "net_G",
            color=tmp_path / "net_C",
            out=tmp_path / "bundle",
            photographs=(tmp_path / "photo.png",),
            version="1.2.3",
            store="fp32",
            verify=False,
        )
    )
    for graph in ("shape_encoder.onnx", "color_encoder.onnx"):
        assert (tmp_path / "bundle" / graph).read_bytes() == (bundle / graph).read_bytes()
    pair, whole = (load_file(folder / "heads.safetensors") for folder in (tmp_path / "bundle", bundle))
    assert pair.keys() == {name for name in whole if name.startswith(("shape.", "color."))}
    for name, values in pair.items():
        np.testing.assert_array_equal(values, whole[name])


def _last_convolution(network: str, volume: torch.Tensor) -> NDArray:
    """What the published network gives, of a volume that ends before it and has ones."""
    tensors = golden_paper.tensors(network)
    conv = "tdmm_filter.unet3d.final_conv"
    weight, bias = tensors[f"{conv}.weight"][:, :, 0, 0, 0], tensors[f"{conv}.bias"]
    return np.einsum("oc,czyx->ozyx", np.concatenate([weight, bias[:, None]], 1), volume[0].numpy())


def _outputs(reader: BundleReader) -> dict[str, NDArray]:
    """The golden arrays, from the bundle, not yet subsampled."""
    given, calibration = golden_paper.inputs(), GOLDEN["calib"]
    image, large_image = torch.from_numpy(given.image), torch.from_numpy(given.large_image)
    points = torch.from_numpy(golden_paper.view_from_world(given.points, calibration))[None]
    vertices = torch.from_numpy(golden_paper.view_from_world(given.vertices, calibration))[None]
    graphs, heads, fine = reader.manifest["graphs"], reader.manifest["heads"], reader.manifest["fine_color"]
    shape, color = reader.manifest["face"]["shape"], reader.manifest["face"]["color"]

    def with_depth(features: torch.Tensor, head: dict) -> NDArray:
        return torch.cat([features, (points[..., 2] * head["depth_scale"])[:, None]], 1)[0].numpy()

    frame = volume_frame(PAPER_FACE_SHAPE.volume, vertices)
    coordinates, asked = frame.coordinates(vertices), frame.coordinates(points)
    features = reader.run(graphs["shape_encoder"], image=image)
    volume = reader.shape_volume(shape["volume"], coordinates)
    sampled = sample_features(features, points)
    raw = with_depth(sampled, heads["shape"])
    inside_image = (points[0, :, :2].abs() <= 1).all(1).numpy()
    occ_body = reader.plain(heads["shape"], raw)[0] * inside_image
    occ_face = reader.joint(shape["head"], raw, sample_volume(volume, asked)[0].numpy())[0]

    coarse = reader.run(graphs["color_encoder"], image=image)
    raw = with_depth(torch.cat([sampled, sample_features(coarse, points)], 1), heads["color"])
    widths = heads["color"]["widths"][: fine["coarse_layers"] + 1]
    phi = reader.mlp("color", widths, raw)
    rgb_coarse = reader.plain(heads["color"], raw)

    tex_fine = reader.run(fine["encoder"], image=large_image)
    tex_volume = reader.color_volume(color["volume"], coordinates, torch.from_numpy(given.colors)[None])
    samples = torch.cat([sample_features(tex_fine, points), torch.from_numpy(phi).float()[None]], 1)
    raw = with_depth(samples, fine["head"])
    rgb_body = reader.plain(fine["head"], raw)
    rgb_face = reader.joint(color["head"], raw, sample_volume(tex_volume, asked)[0].numpy())
    return {
        "im_feat": features[0].numpy(),
        "volume": _last_convolution("netG", volume),
        "occ_body": occ_body,
        "occ_face": occ_face,
        "tex_coarse": coarse[0].numpy(),
        "phi": phi,
        "rgb_coarse": rgb_coarse * 2 - 1,
        "tex_fine": tex_fine[0].numpy(),
        "tex_volume": _last_convolution("netC_fine", tex_volume),
        "rgb_body": rgb_body * 2 - 1,
        "rgb_face": rgb_face * 2 - 1,
    }
