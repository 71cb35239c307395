"""One synthetic person, from a seed to arrays ready for disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.face_model.region import FaceRegion, face_region
from training.people import cameras, materials
from training.people.assets import AssetStore, Proxy, SkinTexture
from training.people.body import Array, Body, Shape, load_body, skin
from training.people.bvh import load_poses
from training.people.dress import (
    Part,
    PosedBody,
    Wardrobe,
    eye_part,
    hidden_skin,
    opaque_faces,
    pose_proxy,
    proxy_parts,
    skin_part,
    tongue_part,
    vertex_normals,
    visible_faces,
)
from training.people.heads import (
    HeadPlace,
    HeadSampleOptions,
    closed_surface,
    draw_head_samples,
    head_place,
)
from training.people.identity import Identity, sample_identity
from training.people.lights import sample_light
from training.people.outfits import Outfit, garment_labels, sample_outfit
from training.people.poses import (
    ALLOWED_OVERLAP,
    DEFAULT_OVERLAP,
    Pose,
    pose_rotations,
    sample_family,
    sample_pose,
    spread,
)
from training.people.render import Renderer, Scene
from training.people.samples import SampleOptions, SurfacePoints, draw_samples, exterior_mesh
from training.people.shards import SPLITS
from training.people.solid import InnerSide, Piece, Solid, thicken

ARM_PROBE_M = 0.012
MAX_POSE_TRIES = 6


@dataclass(frozen=True)
class SubjectOptions:
    """What to make of each subject."""

    num_train_views: int = 12
    num_test_views: int = 6
    sizes_px: tuple[int, ...] = (512,)
    samples: SampleOptions = field(default_factory=SampleOptions)
    head_samples: HeadSampleOptions | None = None
    """Set: pictures show faces, and the subjects have what the face heads learn from."""


@dataclass(frozen=True)
class Figure:
    """A dressed and posed person, before any picture is taken."""

    identity: Identity
    outfit: Outfit
    pose: Pose
    posed: PosedBody
    parts: list[Part]
    solid: Solid


@dataclass(frozen=True)
class Subject:
    """The content of a subject folder."""

    samples: dict[str, NDArray[np.generic]]
    record: dict[str, Any]
    pictures: dict[tuple[int, int], NDArray[np.uint8]]
    mesh: dict[str, NDArray[np.generic]] | None
    head: dict[str, NDArray[np.generic]] | None = None


class Studio:
    """Everything that is loaded once a process: body, assets, poses, renderer."""

    def __init__(
        self,
        assets: Path,
        textures: Path | None = None,
        options: SubjectOptions | None = None,
        renderer: Renderer | None = None,
    ) -> None:
        self.options = options or SubjectOptions()
        self.store = AssetStore(assets, textures)
        self.body: Body = load_body(assets)
        self.wardrobe = Wardrobe(self.body)
        self.bvh = load_poses()
        self.skins = self.store.skins()
        largest_px = max(self.options.sizes_px)
        self.renderer = renderer or Renderer(max_texture_px=1024 if largest_px <= 512 else 2048)

    def make(self, seed: int, split: str, index: int) -> Subject:
        """The subject `index` of a split; the same arguments give the same subject."""
        who, how, worn, light, camera, points = _streams(seed, split, index)
        figure = self.figure(split, sample_identity(who, self.body.change_names), how, worn)
        parts, solid, posed = figure.parts, figure.solid, figure.posed
        with self.renderer.scene(parts) as scene:
            arrays, surface = draw_samples(points, parts, solid, scene, self.options.samples)
            place = self.head_place(posed) if self.options.head_samples else None
            head = self._head(points, figure, scene, place) if place else None
            views, rotations = self._views(camera, split, parts, posed, surface, place)
            lights = [sample_light(light) for _ in views]
            pictures = {
                (number, size_px): scene.picture(view, rotation, sh, size_px)
                for number, (view, rotation, sh) in enumerate(zip(views, rotations, lights, strict=True))
                for size_px in self.options.sizes_px
            }
            mesh = exterior_mesh(parts, solid, scene) if split == "test" else None
            if mesh is not None and place is not None:
                mesh |= closed_surface(solid, place)
        record = self._record(seed, split, index, figure, views, lights)
        return Subject(arrays, record, pictures, mesh, head)

    @cached_property
    def face(self) -> FaceRegion:
        """Which part of the body is the face."""
        return face_region(self.body)

    def head_place(self, posed: PosedBody) -> HeadPlace:
        """The head of a posed body."""
        return head_place(self.body, posed, self.face.body_vertices)

    def face_albedo(self, scene: Scene, parts: list[Part]) -> NDArray[np.uint8]:
        """sRGB albedo (N, 3) at the vertices of the face, which have no brows."""
        eye_uv = parts[1].uv[self.face.body_vertices]
        uv = np.where(self.face.is_eye[:, None], eye_uv, self.face.uv)
        no_pattern = np.zeros((len(uv), 3), dtype=np.float32)
        return scene.albedo(self.face.is_eye.astype(np.int64), uv, no_pattern)[:, :3].copy()

    def _head(
        self, rng: np.random.Generator, figure: Figure, scene: Scene, place: HeadPlace
    ) -> dict[str, NDArray[np.generic]]:
        assert self.options.head_samples is not None
        is_face = np.zeros(self.body.num_vertices, dtype=bool)
        is_face[self.face.body_vertices] = True
        drawn = draw_head_samples(
            rng, figure.parts, figure.solid, scene, place, is_face, self.options.head_samples
        )
        return drawn | {
            "rotation": place.rotation,
            "translation": place.translation,
            "box": place.box,
            "face_vertices": figure.posed.posed[self.face.body_vertices],
            "face_albedo": self.face_albedo(scene, figure.parts),
        }

    def posed_body(self, seed: int, split: str, index: int) -> PosedBody:
        """The body inside of `make`'s subject, in the world of its record, without any picture."""
        who, how = _streams(seed, split, index)[:2]
        return self._pose(how, sample_identity(who, self.body.change_names))[0]

    def figure(
        self, split: str, identity: Identity, how: np.random.Generator, worn: np.random.Generator
    ) -> Figure:
        """Pose and dress a person; `how` draws the pose, `worn` all that is worn and the materials."""
        outfit = sample_outfit(worn, identity)
        posed, pose = self._pose(how, identity)
        parts, solid = self._dress(worn, split, identity, outfit, posed)
        return Figure(identity, outfit, pose, posed, parts, solid)

    def _pose(self, rng: np.random.Generator, identity: Identity) -> tuple[PosedBody, Pose]:
        """Pose the body; arms that would enter the body are spread, then drawn again."""
        family = sample_family(rng)
        allowed = ALLOWED_OVERLAP.get(family, DEFAULT_OVERLAP)
        shape = self.body.shape(identity.phenotype, identity.changes, identity.actions)
        best: tuple[float, PosedBody, Pose] | None = None
        for _ in range(MAX_POSE_TRIES):
            pose = sample_pose(rng, family, self.bvh)
            for _ in range(3):
                rotations = pose_rotations(pose, self.body, shape.joints)
                transforms = self.body.bone_transforms(shape.joints, rotations)
                vertices = skin(shape.vertices, self.body.skin_weights, transforms)
                overlap = self.arm_overlap(vertices)
                if best is None or overlap < best[0]:
                    best = overlap, self._grounded(shape, vertices, transforms), pose
                if best[0] <= allowed:
                    return best[1], best[2]
                pose = spread(pose, 5.0)
        assert best is not None
        return best[1], best[2]

    def arm_overlap(self, vertices: Array) -> float:
        """Share of the vertices of forearms and hands that touch the trunk, legs or head."""
        if not hasattr(self, "_arm_vertices"):
            dominant = np.array(self.body.bone_names)[self.body.skin_weights[:13380].argmax(axis=1)]
            is_far = np.array([n.startswith(("lowerarm", "wrist", "finger", "metacarpal")) for n in dominant])
            is_arm = is_far | np.array([n.startswith(("upperarm", "shoulder")) for n in dominant])
            faces = self.body.faces[self.body.skin_faces]
            self._arm_vertices = np.flatnonzero(is_far)
            self._trunk_faces = faces[~is_arm[faces].any(axis=1)].astype(np.int64)
        import igl

        normals = vertex_normals(vertices, self.body.faces[self.body.skin_faces])
        probes = (vertices + ARM_PROBE_M * normals)[self._arm_vertices]
        winding = igl.fast_winding_number(
            vertices.astype(np.float64), self._trunk_faces, np.ascontiguousarray(probes, dtype=np.float64)
        )
        return float((np.asarray(winding) > 0.5).mean())

    def _grounded(self, shape: Shape, vertices: Array, transforms: Array) -> PosedBody:
        """Lowest point at y = 0, middle at x = z = 0."""
        used = vertices[:13380]
        shift = np.array(
            [-np.median(used[:, 0]), -used[:, 1].min(), -np.median(used[:, 2])], dtype=np.float32
        )
        moved = transforms.copy()
        moved[:, :, 3] += shift
        joints = np.einsum("jab,jb->ja", moved[:, :, :3], shape.joints) + moved[:, :, 3]
        return PosedBody(shape.vertices, vertices + shift, joints.astype(np.float32), moved)

    def _skin_for(self, rng: np.random.Generator, identity: Identity) -> SkinTexture:
        def misfit(skin_texture: SkinTexture) -> int:
            return (
                4 * (skin_texture.is_female != identity.is_female)
                + 2 * (skin_texture.race != identity.race)
                + (skin_texture.age_group != identity.age_group)
            )

        least = min(misfit(s) for s in self.skins)
        fitting = [s for s in self.skins if misfit(s) == least]
        return fitting[int(rng.integers(len(fitting)))]

    def _dress(
        self, rng: np.random.Generator, split: str, identity: Identity, outfit: Outfit, posed: PosedBody
    ) -> tuple[list[Part], Solid]:
        """The parts that are seen, and the volume of the dressed person."""
        body = self.body
        garments = [self.store.proxy("clothes", name) for name in outfit.garments]
        hair_color = materials.sample_hair_color(rng, identity.phenotype["age"], identity.race)
        skin_texture = self._skin_for(rng, identity)
        skin_look = materials.skin_material(rng, skin_texture.texture)
        seen = [
            skin_part(body, posed, hidden_skin(body, garments), skin_look),
            eye_part(body, posed, materials.Material(materials.eye_image(rng))),
            tongue_part(body, posed, materials.Material(materials.flat_image((0.62, 0.3, 0.3)))),
        ]
        inner_side = InnerSide(body, posed)
        pieces: list[Piece] = [(posed.posed, body.sealed_faces)]
        keeps_look = split == "train" and rng.random() < 0.2
        for proxy in sorted(garments, key=lambda g: g.depth):
            slack_m = outfit.slack_m if proxy.name == outfit.garments[0] else 0.0
            worn = pose_proxy(proxy, self.wardrobe, posed, slack_m)
            looks = self._cloth_materials(rng, split, proxy, keeps_look)
            visible = visible_faces(proxy, garments)
            seen += proxy_parts(worn, self.wardrobe, visible, garment_labels(proxy, body), looks)
            pieces.append(
                thicken(worn.posed, proxy.faces[visible], inner_side.of("clothes", worn.rest, worn.posed))
            )
        others: list[Proxy] = [self.store.proxy("eyebrows", outfit.eyebrows)]
        others += [self.store.proxy("eyelashes", outfit.eyelashes), self.store.proxy("teeth", outfit.teeth)]
        if outfit.hair is not None:
            others.append(self.store.proxy("hair", outfit.hair))
        for proxy in others:
            assert proxy.texture is not None
            if proxy.kind == "hair":
                look = materials.hair_material(hair_color, proxy.texture, proxy.uv)
            elif proxy.kind == "eyebrows":
                look = materials.brow_material(hair_color, proxy.texture)
            else:
                look = materials.Material(proxy.texture, alpha_min=0.3)
            worn = pose_proxy(proxy, self.wardrobe, posed)
            everything = np.ones(len(proxy.faces), dtype=bool)
            label = np.zeros(len(proxy.faces), dtype=np.int32)
            seen += proxy_parts(worn, self.wardrobe, everything, label, [look])
            if proxy.kind == "hair":
                strands = proxy.faces[opaque_faces(proxy, look.alpha_min)]
                pieces.append(thicken(worn.posed, strands, inner_side.of("hair", worn.rest, worn.posed)))
        return seen, Solid(pieces)

    def _cloth_materials(
        self, rng: np.random.Generator, split: str, proxy: Proxy, keeps_look: bool
    ) -> list[materials.Material]:
        assert proxy.texture is not None
        label = garment_labels(proxy, self.body)
        looks = []
        for index in range(int(label.max()) + 1):
            uv = proxy.uv[proxy.uv_faces[label == index].ravel()]
            if keeps_look:
                looks.append(materials.Material(proxy.texture, alpha_min=0.3))
            else:
                looks.append(materials.cloth_material(rng, split, proxy.texture, uv))
        return looks

    def _views(
        self,
        rng: np.random.Generator,
        split: str,
        parts: list[Part],
        posed: PosedBody,
        surface: SurfacePoints,
        place: HeadPlace | None,
    ) -> tuple[list[cameras.View], list[NDArray[np.float64]]]:
        num = self.options.num_test_views if split == "test" else self.options.num_train_views
        drawn = [np.unique(part.faces) for part in parts]
        points = np.concatenate([part.vertices[rows] for part, rows in zip(parts, drawn, strict=True)])
        is_head = np.concatenate(
            [self._head_mask(part)[rows] for part, rows in zip(parts, drawn, strict=True)]
        )
        views, rotations = [], []
        if place is None:
            angles = cameras.sample_angles(rng, num, split)
        else:
            angles = [(yaw - place.yaw_deg, framing) for yaw, framing in cameras.sample_face_angles(rng, num)]
        for yaw, framing in angles:
            pitch = float(np.clip(rng.normal(0, 6), -18, 18))
            roll = float(np.clip(rng.normal(0, 2), -6, 6))
            rotation = cameras.camera_rotation(yaw, pitch, roll)
            seen = points @ rotation.T
            joints = posed.joints @ rotation.T
            place = {
                name: joints[self.body.bone_index[name]]
                for name in ("spine02", "root", "lowerleg01.L", "lowerleg01.R")
            }
            head = seen[is_head]
            marks = cameras.Landmarks(
                low=seen.min(axis=0)[:2],
                high=seen.max(axis=0)[:2],
                head_low=head.min(axis=0)[:2],
                head_high=head.max(axis=0)[:2],
                chest_y=float(place["spine02"][1]),
                hip_y=float(place["root"][1]),
                knee_y=float(min(place["lowerleg01.L"][1], place["lowerleg01.R"][1])),
                hip_x=float(place["root"][0]),
            )
            x, y, size_m = cameras.frame_person(rng, framing, marks)
            center = rotation.T @ np.array([x, y, 0.0])
            flat = cameras.to_view(cameras.view_matrix(rotation, center, size_m), surface.points)
            inside = (np.abs(flat[:, :2]) <= 1).all(axis=1)
            depth = float(np.average(flat[inside, 2], weights=surface.weights[inside])) * size_m / 2
            center = rotation.T @ np.array([x, y, depth])
            matrix = cameras.view_matrix(rotation, center, size_m)
            views.append(cameras.View(matrix, size_m, framing, _wrapped(yaw), pitch, roll))
            rotations.append(rotation)
        return views, rotations

    def _head_mask(self, part: Part) -> NDArray[np.bool_]:
        """Vertices (N,) of a part that belong in any picture of the head: the head and what it wears."""
        if part.name.startswith("clothes/fedora"):
            return np.ones(len(part.vertices), dtype=bool)
        if part.name != "skin":
            return np.zeros(len(part.vertices), dtype=bool)
        is_head = np.array([name in ("head", "jaw") for name in self.body.bone_names])
        return is_head[self.body.skin_weights.argmax(axis=1)]

    def _record(
        self,
        seed: int,
        split: str,
        index: int,
        figure: Figure,
        views: list[cameras.View],
        lights: list[NDArray[np.float64]],
    ) -> dict[str, Any]:
        identity, outfit = figure.identity, figure.outfit
        standing = figure.posed.rest[:13380, 1]
        return {
            "seed": seed,
            "split": split,
            "index": index,
            "height_m": round(float(standing.max() - standing.min()), 4),
            "gender": "female" if identity.is_female else "male",
            "age_group": identity.age_group,
            "garments": list(outfit.garments),
            "hair": outfit.hair,
            "pose": figure.pose.name,
            "views": [
                {
                    "view_from_world": view.view_from_world.tolist(),
                    "size_m": view.size_m,
                    "framing": view.framing,
                    "yaw_deg": view.yaw_deg,
                    "pitch_deg": view.pitch_deg,
                    "roll_deg": view.roll_deg,
                    "sh": sh.tolist(),
                }
                for view, sh in zip(views, lights, strict=True)
            ],
        }


def _streams(seed: int, split: str, index: int) -> list[np.random.Generator]:
    """Independent generators for who, how, worn, light, camera and points of a subject."""
    sequence = np.random.SeedSequence([seed, SPLITS.index(split), index])
    return [np.random.default_rng(stream) for stream in sequence.spawn(6)]


def _wrapped(degrees: float) -> float:
    return (degrees + 180.0) % 360.0 - 180.0
