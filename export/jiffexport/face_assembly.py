"""The face's parts of a bundle: model, regressor, volumes, joint heads and the fine colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_safetensors

from .bundle import files_named
from .checkpoint import TrainedNetwork, load_face_regressor, load_face_shape, load_fine_color
from .errors import BundleError
from .exported_graph import ExportedGraph, exported, trained_provenance
from .face_inputs import fitted_mesh, real_crops
from .face_model import FaceModel, load_face_model
from .face_regressor import export_face_regressor
from .face_volumes import ExportedVolume, FaceMesh, export_color_volume, export_shape_volume
from .head_encoder import export_head_encoder
from .heads import HEADS_FILE, Head, describe_head, describe_joint_head, pack_heads
from .nets import FaceShapeNet, FineColorNet
from .onnx_graph import Store
from .photographs import Segment, cut_out, encoder_input, load_square
from .segmentation import IMAGE_SIZE_PX as SEGMENTATION_SIZE_PX
from .to_onnx import cut_of, encoder_to_onnx, reference_features
from .verify import compile_graph, installed_engines
from .volume_network import VolumeNetwork, fold_final_conv

MODEL_FILE = "face_model.safetensors"
REGION_MARGIN = 0.3
"""The face region is the box of the fitted mesh, widened on every side by this share of its longer side."""
PHOTOGRAPH_SIZE_PX = 1024
FACE_HEADS = ("face_shape", "fine_color", "face_color")

Manifest = dict[str, Any]
Files = dict[str, bytes]


@dataclass(frozen=True)
class FaceSources:
    """Files that the face's parts are made of.

    Attributes
    ----------
    model
        A face model, see `jiffexport.face_model`.
    regressor, shape, fine_color
        Checkpoints; without `fine_color` a bundle has neither that nor a face in colour.
    """

    model: Path
    regressor: Path
    shape: Path
    fine_color: Path | None = None


def add_face_parts(
    manifest: Manifest,
    files: Files,
    sources: FaceSources,
    photographs: Sequence[Path],
    store: Store,
    verify: bool = True,
) -> list[ExportedGraph]:
    """Puts the face's parts into a bundle's manifest and files, in the place of older ones.

    Parameters
    ----------
    manifest, files
        As `jiffexport.bundle.read_bundle` gives them; changed only when all went well.
    photographs
        Real inputs to verify the graphs with.
    verify
        Whether the graph of the large picture gets any, which takes torch a while.

    Returns
    -------
    list[ExportedGraph]
        The new graphs.

    Raises
    ------
    ExportError
        One of the errors of `jiffexport.errors`; the message says which file and why.
    """
    model = load_face_model(sources.model)
    regressor, shape = load_face_regressor(sources.regressor), load_face_shape(sources.shape)
    fine = None if sources.fine_color is None else load_fine_color(sources.fine_color)
    _check_body(manifest, files, shape.network, sources.shape)
    if fine is not None and sources.fine_color is not None:
        _check_coarse(manifest, fine.network, sources.fine_color)

    pictures = [load_square(path, PHOTOGRAPH_SIZE_PX) for path in photographs]
    crop = regressor.network.config
    crops = _crops(manifest, files, pictures, model, crop.side_m, crop.crop_size_px)
    meshes = [fitted_mesh(face, regressor.network, model) for face in crops]
    coefficients = export_face_regressor(regressor, crops, store)
    network, joint_head = fold_final_conv(shape.network.volume.unet3d, shape.network.face_head)
    provenance = trained_provenance(shape.provenance, shape.step)
    volume = export_shape_volume(shape.network.volume, network, meshes, store, provenance, shape.license)
    graphs = [coefficients, *volume.graphs.values()]
    heads: dict[str, Head] = {"face_shape": joint_head}
    of_shape: Manifest = {
        "volume": volume.manifest_entry(),
        "head": describe_joint_head(joint_head, "face_shape"),
    }
    head_encoder = shape.network.config.head_encoder
    if head_encoder is None:
        of_shape["head"]["features"] = ["shape_encoder"]
    else:
        graphs.append(export_head_encoder(shape, crops, store))
        of_shape["head_encoder"] = graphs[-1].manifest_entry() | {"reach": head_encoder.reach}
    face: Manifest = {
        "model": {"file": MODEL_FILE, "license": model.license, "provenance": model.provenance},
        "regressor": coefficients.manifest_entry() | {"side_m": crop.side_m},
        "region_margin": REGION_MARGIN,
        "shape": of_shape,
    }
    sections: Manifest = {"face": face}
    if fine is not None:
        encoder = _export_fine_encoder(fine, pictures if verify else [], _segmenter(manifest, files), store)
        network, joint_head = fold_final_conv(fine.network.volume.unet3d, fine.network.face_head)
        color_volume = _export_color_volume(fine, network, meshes, store)
        graphs += [encoder, *color_volume.graphs.values()]
        sections["fine_color"] = _describe_fine_color(fine.network, encoder)
        face["color"] = {
            "volume": color_volume.manifest_entry(),
            "head": describe_joint_head(joint_head, "face_color")
            | {"blends_image": fine.network.config.blends_image},
        }
        heads |= {"fine_color": fine.network.head, "face_color": joint_head}
    packed = pack_heads(heads, store, beside=_other_heads(files))

    _drop_face(manifest, files)
    manifest |= sections
    files |= {graph.file: graph.model for graph in graphs}
    files[HEADS_FILE] = packed
    files[MODEL_FILE] = model.to_bytes(store)
    return graphs


def _check_body(manifest: Manifest, files: Files, network: FaceShapeNet, path: Path) -> None:
    """The face's network must have been trained on features such as the bundle's encoder gives."""
    given = manifest["graphs"]["shape_encoder"]["outputs"]["features"][1]
    wanted = network.config.body.feature_channels
    if given != wanted:
        raise BundleError(
            f"{path}: the face's network was trained on {wanted} channels of shape features, the bundle's "
            f"shape encoder gives {given}; train it on this shape network"
        )
    if network.body is None:
        return
    packed = load_safetensors(files[HEADS_FILE])
    for name, tensor in network.body.head.state_dict().items():
        values = tensor.numpy()[:, :, 0] if tensor.ndim == 3 else tensor.numpy()
        theirs = packed.get(f"shape.{name}")
        if theirs is None or theirs.shape != values.shape or not np.allclose(theirs, values, 1e-3, 1e-6):
            raise BundleError(
                f"{path}: holds a body network that was trained along and is not the bundle's "
                f"({name} differs); build the bundle with --shape {path}"
            )


def _check_coarse(manifest: Manifest, fine: FineColorNet, path: Path) -> None:
    """The fine heads read the activations of the bundle's coarse head."""
    widths, layers = manifest["heads"]["color"]["widths"], fine.config.coarse_layers
    given = widths[layers] if layers < len(widths) - 1 else 0
    if given != fine.config.coarse_channels:
        raise BundleError(
            f"{path}: reads {fine.config.coarse_channels} activations after layer {layers} of the coarse "
            f"colour head, whose hidden widths are {widths[1:-1]}; train it on this colour network"
        )


def _crops(
    manifest: Manifest,
    files: Files,
    pictures: Sequence[np.ndarray],
    model: FaceModel,
    side_m: float,
    crop_size_px: int,
) -> list[np.ndarray]:
    if "face_detection" not in manifest:
        raise BundleError("the face's parts need a face detector in the bundle; give --face-detection")
    stage = manifest["face_detection"]["landmarks"]
    detect = compile_graph(files[stage["file"]], installed_engines()[0])
    num_windows = stage["inputs"]["image"][0]
    rgb = [np.ascontiguousarray(picture[..., :3]) for picture in pictures]
    return real_crops(rgb, detect, num_windows, model, side_m, crop_size_px)


def _segmenter(manifest: Manifest, files: Files) -> Segment | None:
    if "segmentation" not in manifest["graphs"]:
        return None
    run = compile_graph(files[manifest["graphs"]["segmentation"]["file"]], installed_engines()[0])
    return lambda image: run({"image": image})["matte"]


def _export_fine_encoder(
    fine: TrainedNetwork[FineColorNet],
    pictures: Sequence[np.ndarray],
    segment: Segment | None,
    store: Store,
) -> ExportedGraph:
    config, name = fine.network.config, "fine_color_encoder"
    if segment is not None:
        pictures = [cut_out(picture, segment, SEGMENTATION_SIZE_PX) for picture in pictures]
    size_px, num_channels = config.image_size_px, config.in_channels
    images = [encoder_input(picture, num_channels, size_px) for picture in pictures]
    encoder = fine.network.encoder
    model = encoder_to_onnx(encoder, (1, num_channels, size_px, size_px), name, store)
    examples = reference_features(encoder, images)
    provenance = trained_provenance(fine.provenance, fine.step)
    return exported(name, model, examples, store, provenance, license=fine.license, cut=cut_of(encoder))


def _export_color_volume(
    fine: TrainedNetwork[FineColorNet], network: VolumeNetwork, meshes: Sequence[FaceMesh], store: Store
) -> ExportedVolume:
    provenance = trained_provenance(fine.provenance, fine.step)
    return export_color_volume(fine.network.volume, network, meshes, store, provenance, fine.license)


def _describe_fine_color(network: FineColorNet, encoder: ExportedGraph) -> Manifest:
    head = describe_head(network.head, "fine_color", (), HEADS_FILE)
    del head["features"]  # always the fine encoder's, then the coarse activations
    return {
        "encoder": encoder.manifest_entry(),
        "coarse_layers": network.config.coarse_layers,
        "head": head | {"blends_image": network.config.blends_image},
    }


def _other_heads(files: Files) -> dict[str, np.ndarray]:
    """The tensors of the bundle's heads that are not the face's."""
    packed = load_safetensors(files[HEADS_FILE])
    return {name: values for name, values in packed.items() if name.split(".")[0] not in FACE_HEADS}


def _drop_face(manifest: Manifest, files: Files) -> None:
    """Takes the face's sections and the files that only they name out of a bundle."""
    dropped = {section: manifest.pop(section, {}) for section in ("face", "fine_color")}
    for _, file in files_named(dropped):
        if file != HEADS_FILE:
            files.pop(file, None)
