#include "pipeline/face_fitter.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "preprocess/face_crop.h"

namespace jiff {
namespace {

// The mean distance of the fit's landmarks from the detector's, as a share of the crop's side, beyond which
// one of the two is wrong.
constexpr double kMostDisagreement = 0.12;
// The second crop is cut around the landmarks of the first fit, which err less than the detector's.
constexpr int kNumPasses = 2;
constexpr double kDegrees = 180.0 / 3.14159265358979323846;

// The part of a photo that a box covers, whole pixels only; empty where they do not meet.
PixelRect covered(const Box& box, const ImageView& photo) {
    const auto bounded = [](double value, int most) {
        return static_cast<int>(std::clamp(value, 0.0, static_cast<double>(most)));
    };
    return {bounded(std::floor(box.left_px), photo.width_px),
            bounded(std::floor(box.top_px), photo.height_px),
            bounded(std::ceil(box.left_px + box.width_px), photo.width_px),
            bounded(std::ceil(box.top_px + box.height_px), photo.height_px)};
}

std::vector<std::uint8_t> cut_out(const ImageView& photo, const PixelRect& part) {
    const std::int64_t num_bytes = std::int64_t{part.right - part.left} * photo.num_channels;
    std::vector<std::uint8_t> pixels;
    pixels.reserve(static_cast<std::size_t>(num_bytes * (part.bottom - part.top)));
    for (int row = part.top; row < part.bottom; ++row) {
        const std::uint8_t* first =
            photo.values + (std::int64_t{row} * photo.width_px + part.left) * photo.num_channels;
        pixels.insert(pixels.end(), first, first + num_bytes);
    }
    return pixels;
}

// Of a face in its crop, the photo's pixels of its five landmarks.
FaceLandmarks landmarks_px(const FaceModel& model, const FaceFit& fit, double side_m) {
    // In a frame that is the crop, of side 1 m, whose world has its origin in the middle.
    const Similarity to_crop = place_face(fit.coefficients.pose, side_m, fit.crop, fit.crop, 1.0);
    FaceLandmarks result{};
    const LandmarkTemplate own = model.five_landmarks(fit.vertices);
    Points points;
    for (const auto& [x, y, z] : own)
        points.push_back({static_cast<float>(x), static_cast<float>(y), static_cast<float>(z)});
    points = placed(to_crop, points);
    for (std::size_t i = 0; i < result.size(); ++i) {
        result[i] = {fit.crop.left_px + (0.5 + points[i][0]) * fit.crop.width_px,
                     fit.crop.top_px + (0.5 - points[i][1]) * fit.crop.height_px};
    }
    return result;
}

bool is_finite(const FaceLandmarks& landmarks) {
    return std::all_of(landmarks.begin(), landmarks.end(),
                       [](const auto& point) { return std::isfinite(point[0]) && std::isfinite(point[1]); });
}

// Whether there is a crop at all: five points in one place have no scale.
bool spread(const FaceLandmarks& landmarks) {
    double reach = 0.0;
    for (const auto& [x, y] : landmarks)
        reach = std::max({reach, std::abs(x - landmarks[0][0]), std::abs(y - landmarks[0][1])});
    return is_finite(landmarks) && reach >= 1.0;
}

double mean_distance(const FaceLandmarks& a, const FaceLandmarks& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += std::hypot(a[i][0] - b[i][0], a[i][1] - b[i][1]);
    return sum / static_cast<double>(a.size());
}

// Between z and the face's own z after its turns Rz(c) Ry(b) Rx(a).
double angle_from_camera_deg(const FacePose& pose) {
    return kDegrees * std::acos(std::clamp(std::cos(pose.angles[0]) * std::cos(pose.angles[1]), -1.0, 1.0));
}

}  // namespace

FaceFitter::FaceFitter(const Bundle& bundle, Engine& engine)
    : detector_(bundle, engine),
      model_(bundle.face->model),
      regressor_("face_regressor", bundle.face->regressor, engine),
      side_m_(bundle.face->side_m) {}

std::optional<Face> FaceFitter::find(const ImageView& rgb, const ImageView& mask, const Box& frame) const {
    const PixelRect part = covered(frame, rgb);
    if (part.right <= part.left || part.bottom <= part.top) return std::nullopt;
    const auto pixels = cut_out(rgb, part);
    const ImageView view{pixels.data(), part.right - part.left, part.bottom - part.top, 3};
    const int frame_px = static_cast<int>(std::ceil(frame.width_px));
    auto faces = detector_.detect(view, {default_min_face_px(frame_px, frame_px)});
    for (Face& face : faces) {
        face.box.left_px += part.left;
        face.box.top_px += part.top;
        for (auto& [x, y] : face.landmarks) {
            x += static_cast<float>(part.left);
            y += static_cast<float>(part.top);
        }
    }
    const auto main = main_face(faces, mask);
    if (!main) return std::nullopt;
    return faces[*main];
}

std::optional<FaceFit> FaceFitter::fit(const ImageView& rgb, const Face& face) const {
    FaceLandmarks detected{};
    for (std::size_t i = 0; i < detected.size(); ++i)
        detected[i] = {face.landmarks[i][0], face.landmarks[i][1]};
    const int size_px = static_cast<int>(regressor_.spec().inputs.at("image")[2]);

    FaceFit fit;
    FaceLandmarks around = detected;
    for (int pass = 0; pass < kNumPasses; ++pass) {
        if (!spread(around)) return std::nullopt;
        fit.crop = face_crop_box(around, model_->mean_landmarks(), side_m_);
        const Tensor crop = face_crop(rgb, fit.crop, size_px);
        const Tensor values = regressor_.run({{"image", crop.view()}}, "coefficients");
        std::copy_n(values.data(), fit.values.size(), fit.values.begin());
        if (!std::all_of(fit.values.begin(), fit.values.end(), [](float v) { return std::isfinite(v); }))
            return std::nullopt;
        fit.coefficients = FaceCoefficients::split(fit.values);
        fit.vertices = model_->vertices(fit.coefficients);
        around = landmarks_px(*model_, fit, side_m_);
        if (!is_finite(around) || mean_distance(around, detected) > kMostDisagreement * fit.crop.width_px)
            return std::nullopt;
    }
    fit.angle_deg = angle_from_camera_deg(fit.coefficients.pose);
    return fit;
}

}  // namespace jiff
