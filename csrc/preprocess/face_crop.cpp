#include "preprocess/face_crop.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/status.h"

namespace jiff {
namespace {

constexpr double kFlat = 1e-6;  // determinant of the template's scatter, relative to its trace cubed

using Vector = std::array<double, 3>;

Vector cross(const Vector& a, const Vector& b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double dot(const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

template <std::size_t kSize>
std::array<double, kSize> mean(const std::array<std::array<double, kSize>, 5>& points) {
    std::array<double, kSize> sum{};
    for (const auto& point : points) {
        for (std::size_t axis = 0; axis < kSize; ++axis) sum[axis] += point[axis] / 5.0;
    }
    return sum;
}

}  // namespace

Box face_crop_box(const FaceLandmarks& landmarks_px, const LandmarkTemplate& mean_face, double side_m) {
    for (const auto& point : landmarks_px) {
        if (!std::isfinite(point[0]) || !std::isfinite(point[1])) {
            throw Error(ErrorCode::kInvalidArgument, "face landmarks must be finite");
        }
    }
    if (!(side_m > 0.0)) {
        throw Error(ErrorCode::kInvalidArgument, "side_m must be positive, got " + std::to_string(side_m));
    }
    const auto center = mean(landmarks_px);
    const auto middle = mean(mean_face);

    // Normal equations of both rows of the map at once: scatter · row = moment.
    std::array<Vector, 3> scatter{};
    std::array<Vector, 2> moments{};
    for (int i = 0; i < 5; ++i) {
        Vector offset;
        for (int axis = 0; axis < 3; ++axis) offset[axis] = mean_face[i][axis] - middle[axis];
        for (int axis = 0; axis < 3; ++axis) {
            for (int other = 0; other < 3; ++other) scatter[axis][other] += offset[axis] * offset[other];
            for (int row = 0; row < 2; ++row)
                moments[row][axis] += offset[axis] * (landmarks_px[i][row] - center[row]);
        }
    }
    // The scatter is symmetric: its inverse has the crossed rows for columns and rows alike.
    const std::array<Vector, 3> adjugate = {cross(scatter[1], scatter[2]), cross(scatter[2], scatter[0]),
                                            cross(scatter[0], scatter[1])};
    const double determinant = dot(scatter[0], adjugate[0]);
    const double trace = scatter[0][0] + scatter[1][1] + scatter[2][2];
    if (!(determinant > kFlat * trace * trace * trace)) {
        throw Error(ErrorCode::kInvalidArgument, "the landmarks of the mean face lie in a plane");
    }
    double scale = 0.0;  // pixels for a metre: the mean of both rows' lengths
    for (const Vector& moment : moments) {
        Vector row;
        for (int axis = 0; axis < 3; ++axis) row[axis] = dot(adjugate[axis], moment) / determinant;
        scale += 0.5 * std::sqrt(dot(row, row));
    }
    const double side = side_m * scale;
    if (!(side > 1e-3)) {
        throw Error(ErrorCode::kInvalidArgument, "the five face landmarks lie in one place");
    }
    return {center[0] - side / 2.0, center[1] - side / 2.0, side, side};
}

Tensor face_crop(const ImageView& rgb, const Box& box, int size_px) {
    const Tensor warped = warp_image(rgb, box, size_px, size_px);
    Tensor crop({1, warped.shape()[0], size_px, size_px});
    std::transform(warped.data(), warped.data() + warped.size(), crop.data(),
                   [](float value) { return 2.0f * value - 1.0f; });
    return crop;
}

}  // namespace jiff
