#include "pipeline/face_cover.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace jiff {
namespace {

// Of log(red / blue), photo against fit. Seen: -0.2 to 0.2 on bare faces, bearded and bespectacled ones; -0.5
// under a white mask, -0.9 under a black or a blue one.
constexpr double kBluest = -0.35;
constexpr double kLeastSaturation = 0.06;  // of the tenth of the pixels that has most; below, a photo is grey
constexpr double kDark = 0.03;             // keeps the ratio of dark pixels finite
constexpr double kFacing = 0.3;            // least z of a normal that looks at the camera
constexpr std::size_t kLeastVertices = 12;

double median(std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

double redness(double red, double blue) { return std::log((red + kDark) / (blue + kDark)); }

// Vertices from below the eyes to below the mouth, as far out as the eyes.
std::vector<std::size_t> lower_face(const FaceModel& model) {
    const Points mean = model.vertices(FaceCoefficients{});
    const LandmarkTemplate five = model.mean_landmarks();
    const double center = 0.5 * (five[0][0] + five[1][0]), reach = 0.5 * (five[1][0] - five[0][0]);
    const double eyes = 0.5 * (five[0][1] + five[1][1]), mouth = 0.5 * (five[3][1] + five[4][1]);
    const double nose = five[2][1];
    const double top = 0.4 * eyes + 0.6 * nose, bottom = mouth - 0.8 * (nose - mouth);
    std::vector<std::size_t> rows;
    for (std::size_t i = 0; i < mean.size(); ++i) {
        const auto [x, y, z] = mean[i];
        if (std::abs(x - center) <= reach && y >= bottom && y <= top) rows.push_back(i);
    }
    return rows;
}

}  // namespace

bool is_covered(const ImageView& rgb, const FaceModel& model,
                const std::vector<std::array<double, 2>>& pixels,
                const std::vector<std::array<double, 3>>& normals,
                const std::vector<std::array<float, 3>>& colors) {
    std::vector<double> changes, saturations;
    for (const std::size_t i : lower_face(model)) {
        const auto [x, y] = pixels[i];
        if (normals[i][2] < kFacing || x < 0.0 || y < 0.0 || x >= rgb.width_px || y >= rgb.height_px)
            continue;
        const auto column = static_cast<std::int64_t>(x), row = static_cast<std::int64_t>(y);
        const std::uint8_t* pixel = rgb.values + 3 * (row * rgb.width_px + column);
        changes.push_back(redness(pixel[0] / 255.0, pixel[2] / 255.0) - redness(colors[i][0], colors[i][2]));
    }
    if (changes.size() < kLeastVertices) return false;
    // A whole photo is asked for its colours: a grey mask does not make it grey.
    const std::int64_t num_pixels = std::int64_t{rgb.width_px} * rgb.height_px;
    const std::int64_t step = std::max<std::int64_t>(1, num_pixels / 4096);
    for (std::int64_t i = 0; i < num_pixels; i += step) {
        const auto [low, high] =
            std::minmax({rgb.values[3 * i], rgb.values[3 * i + 1], rgb.values[3 * i + 2]});
        saturations.push_back((high - low) / 255.0);
    }
    const auto most = saturations.begin() + static_cast<std::ptrdiff_t>(9 * saturations.size() / 10);
    std::nth_element(saturations.begin(), most, saturations.end());
    return *most >= kLeastSaturation && median(changes) < kBluest;
}

}  // namespace jiff
