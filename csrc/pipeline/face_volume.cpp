#include "pipeline/face_volume.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "ops/ball_query.h"
#include "ops/farthest_point_sampling.h"
#include "ops/nearest_interpolation.h"
#include "ops/voxel_pooling.h"

namespace jiff {
namespace {

// The published cube in units of which 102.9 are half a frame: centred 100 units up where the frame is
// centred 90 up, and 1.5 units before depth zero.
constexpr double kHalfFrame = 102.9;
constexpr double kCubeSide = 281.856;
constexpr double kCubeUp = 10.0;
constexpr double kCubeBehind = 1.5;
constexpr float kLeastSide = 1e-6f;

Tensor coordinates_of(const VolumeFrame& frame, const Points& vertices) {
    const auto num_vertices = static_cast<std::int64_t>(vertices.size());
    Tensor coordinates({1, num_vertices, 3});
    cube_coordinates(frame, vertices.data()->data(), num_vertices, coordinates.data());
    return coordinates;
}

std::vector<std::int32_t> voxels_of(const Tensor& coordinates, int resolution) {
    return voxel_indices(coordinates.data(), coordinates.shape()[1], resolution);
}

VoxelGroups voxel_groups(const std::vector<std::int32_t>& voxels, int resolution) {
    return VoxelGroups(voxels.data(), static_cast<std::int64_t>(voxels.size()), num_voxels(resolution));
}

// Points of a level and what is known at each: coordinates [1, N, 3] and codes [1, N, C]. Borrowed.
struct CodedPoints {
    const Tensor &points, &codes;
};

// Centres of groups, and the groups [1, M, K, 3 + C]: offsets from the centre, then codes.
struct Groups {
    Tensor centers, members;
};

Groups group_points(const CodedPoints& level, std::int64_t num_centers, float radius,
                    std::int64_t group_size) {
    const std::int64_t num_points = level.points.shape()[1], num_codes = level.codes.shape()[2];
    const float* points = level.points.data();
    const auto chosen = farthest_point_sampling(points, num_points, num_centers);
    Groups groups{Tensor({1, num_centers, 3}), Tensor({1, num_centers, group_size, 3 + num_codes})};
    float* centers = groups.centers.data();
    for (std::int64_t i = 0; i < num_centers; ++i) std::copy_n(points + 3 * chosen[i], 3, centers + 3 * i);
    const auto near = ball_query(points, num_points, centers, num_centers, radius, group_size);
    float* member = groups.members.data();
    for (std::int64_t i = 0; i < num_centers * group_size; ++i, member += 3 + num_codes) {
        const float* point = points + 3 * near[i];
        const float* center = centers + 3 * (i / group_size);
        for (int axis = 0; axis < 3; ++axis) member[axis] = point[axis] - center[axis];
        std::copy_n(level.codes.data() + near[i] * num_codes, num_codes, member + 3);
    }
    return groups;
}

// All points of a level as one group around the origin, [1, 1, N, 3 + C].
Tensor whole_group(const CodedPoints& level) {
    const std::int64_t num_points = level.points.shape()[1], num_codes = level.codes.shape()[2];
    Tensor group({1, 1, num_points, 3 + num_codes});
    for (std::int64_t i = 0; i < num_points; ++i) {
        float* member = group.data() + i * (3 + num_codes);
        std::copy_n(level.points.data() + 3 * i, 3, member);
        std::copy_n(level.codes.data() + i * num_codes, num_codes, member + 3);
    }
    return group;
}

// Codes of a level at the points of a finer one.
Tensor carried(const Tensor& codes, const Tensor& sources, const Tensor& targets) {
    Tensor values({1, targets.shape()[1], codes.shape()[2]});
    interpolate_nearest(codes.data(), sources.data(), sources.shape()[1], codes.shape()[2], targets.data(),
                        targets.shape()[1], values.data());
    return values;
}

Tensor repeated(const Tensor& code, std::int64_t num_points) {
    Tensor values({1, num_points, code.size()});
    for (std::int64_t i = 0; i < num_points; ++i)
        std::copy_n(code.data(), code.size(), values.data() + i * code.size());
    return values;
}

// Coordinates and colours side by side, [1, N, 6].
Tensor colored(const Tensor& coordinates, const std::vector<std::array<float, 3>>& colors) {
    Tensor codes({1, coordinates.shape()[1], 6});
    for (std::size_t i = 0; i < colors.size(); ++i) {
        std::copy_n(coordinates.data() + 3 * i, 3, codes.data() + 6 * i);
        std::copy_n(colors[i].data(), 3, codes.data() + 6 * i + 3);
    }
    return codes;
}

}  // namespace

VolumeFrame volume_frame(const VolumeSpec& spec, const Points& vertices) {
    VolumeFrame frame{};
    if (spec.frame == VolumeSpec::Frame::kBody) {
        constexpr auto kScale = static_cast<float>(kHalfFrame / kCubeSide);
        frame.scale = {kScale, -kScale, kScale};
        frame.offset = {0.5f, static_cast<float>(0.5 - kCubeUp / kCubeSide),
                        static_cast<float>(0.5 - kCubeBehind / kCubeSide)};
        return frame;
    }
    auto low = vertices.front(), high = vertices.front();
    for (const auto& vertex : vertices) {
        for (int axis = 0; axis < 3; ++axis) {
            low[axis] = std::min(low[axis], vertex[axis]);
            high[axis] = std::max(high[axis], vertex[axis]);
        }
    }
    float side = kLeastSide;
    for (int axis = 0; axis < 3; ++axis) side = std::max(side, high[axis] - low[axis]);
    side *= 1.0f + 2.0f * spec.frame_margin;
    for (int axis = 0; axis < 3; ++axis) {
        frame.scale[axis] = 1.0f / side;
        frame.offset[axis] = 0.5f - frame.scale[axis] * (low[axis] + high[axis]) / 2.0f;
    }
    return frame;
}

FaceVolume volume_of(const FaceCodes& face) {
    const std::int64_t side = face.resolution, num_channels = face.codes.shape()[2];
    Tensor means({1, num_channels, side, side, side});
    voxel_groups(face.voxels, face.resolution).mean(face.codes.data(), num_channels, means.data());
    Tensor features = face.unet->run({{"volume", means.view()}}, "features");
    return {VolumeSampler(std::move(features), face.appends_ones), face.frame};
}

ShapeVolumeEncoder::ShapeVolumeEncoder(const ShapeVolumeSpec& spec, Engine& engine)
    : spec_(spec), unet_("face_shape_unet", spec.unet, engine) {
    for (const GraphSpec& stage : spec.points) {
        points_.emplace_back("face_shape_points_" + std::to_string(points_.size()), stage, engine);
    }
}

FaceCodes ShapeVolumeEncoder::encode(const Points& vertices) const {
    const VolumeFrame frame = volume_frame(spec_, vertices);
    const Tensor coordinates = coordinates_of(frame, vertices);
    std::vector<std::int32_t> voxels = voxels_of(coordinates, spec_.resolution);
    const VoxelGroups groups = voxel_groups(voxels, spec_.resolution);
    Tensor codes = points_.front().run({{"coordinates", coordinates.view()}}, "codes");
    for (std::size_t stage = 1; stage < points_.size(); ++stage) {
        Tensor pooled(codes.shape());
        groups.max(codes.data(), codes.shape()[2], pooled.data());
        codes = points_[stage].run({{"own", codes.view()}, {"pooled", pooled.view()}}, "codes");
    }
    return {std::move(codes), std::move(voxels), frame, spec_.resolution, spec_.appends_ones, &unet_};
}

ColorVolumeEncoder::ColorVolumeEncoder(const ColorVolumeSpec& spec, Engine& engine)
    : spec_(spec),
      sa1_("face_color_sa1", spec.sa1, engine),
      sa2_("face_color_sa2", spec.sa2, engine),
      sa3_("face_color_sa3", spec.sa3, engine),
      fp3_("face_color_fp3", spec.fp3, engine),
      fp2_("face_color_fp2", spec.fp2, engine),
      fp1_("face_color_fp1", spec.fp1, engine),
      unet_("face_color_unet", spec.unet, engine) {}

FaceCodes ColorVolumeEncoder::encode(const Points& vertices,
                                     const std::vector<std::array<float, 3>>& colors) const {
    const VolumeFrame frame = volume_frame(spec_, vertices);
    const Tensor coordinates = coordinates_of(frame, vertices);
    const auto& [num_first, num_second] = spec_.num_centers;

    const Tensor painted = colored(coordinates, colors);
    const Groups groups1 =
        group_points({coordinates, painted}, num_first, spec_.radii[0], spec_.group_sizes[0]);
    const Tensor codes1 = sa1_.run({{"groups", groups1.members.view()}}, "codes");
    const CodedPoints level1{groups1.centers, codes1};
    const Groups groups2 = group_points(level1, num_second, spec_.radii[1], spec_.group_sizes[1]);
    const Tensor codes2 = sa2_.run({{"groups", groups2.members.view()}}, "codes");
    const CodedPoints level2{groups2.centers, codes2};
    const Tensor whole = sa3_.run({{"groups", whole_group(level2).view()}}, "codes");

    const Tensor everywhere = repeated(whole, num_second);
    const Tensor back2 = fp3_.run({{"own", level2.codes.view()}, {"carried", everywhere.view()}}, "codes");
    const Tensor to1 = carried(back2, level2.points, level1.points);
    const Tensor back1 = fp2_.run({{"own", level1.codes.view()}, {"carried", to1.view()}}, "codes");
    const Tensor to_vertices = carried(back1, level1.points, coordinates);
    Tensor codes = fp1_.run({{"carried", to_vertices.view()}}, "codes");
    return {std::move(codes),
            voxels_of(coordinates, spec_.resolution),
            frame,
            spec_.resolution,
            spec_.appends_ones,
            &unet_};
}

}  // namespace jiff
