// The morphable face model of a bundle: S = mean + B_id · identity + B_exp · expression,
// T = mean + B_tex · texture (paper Eq. 2), and the light that it is seen in.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "pipeline/face_alignment.h"
#include "pipeline/triangle_mesh.h"
#include "preprocess/face_crop.h"

namespace jiff {

inline constexpr int kNumFaceCoefficients = 257;

// The nine harmonics of red, then of green, then of blue (docs/conventions.md, "Face").
using FaceLight = std::array<float, 27>;

// What the regressor tells of a face. A model that has fewer components ignores the rest.
struct FaceCoefficients {
    std::array<float, 80> identity{};
    std::array<float, 64> expression{};
    std::array<float, 80> texture{};
    FaceLight light{};
    FacePose pose;

    // From the regressor's order.
    static FaceCoefficients split(const std::array<float, kNumFaceCoefficients>& values);
};

class FaceModel {
  public:
    // Reads the file that export/jiffexport/face_model.py describes. Throws Error(kBundle) naming the file,
    // the tensor, the value and the remedy.
    explicit FaceModel(const std::string& path);

    std::int64_t num_vertices() const { return static_cast<std::int64_t>(mean_shape_.size()); }
    const Triangles& triangles() const { return triangles_; }

    // Metres, x right as pictured, y up, z out of the face.
    Points vertices(const FaceCoefficients& coefficients) const;

    // sRGB in [0, 1], one a vertex, as no light falls on it.
    std::vector<std::array<float, 3>> albedo(const FaceCoefficients& coefficients) const;

    // Left eye, right eye, nose tip, left and right mouth corner as pictured, of vertices of this model.
    LandmarkTemplate five_landmarks(const Points& vertices) const;

    // The same of the mean face.
    LandmarkTemplate mean_landmarks() const { return five_landmarks(mean_shape_); }

  private:
    Points mean_shape_;
    std::vector<std::array<float, 3>> mean_texture_;
    Tensor identity_basis_, expression_basis_, texture_basis_;  // [components, N, 3]
    Triangles triangles_;
    std::array<std::array<std::int32_t, 2>, 5> five_points_{};
};

// sRGB in [0, 1] of a matte surface: (albedo^2.2 · max(light · harmonics(normal), 0))^(1 / 2.2), with unit
// `normals` on the axes of the world; one of each a vertex.
std::vector<std::array<float, 3>> lit_colors(const std::vector<std::array<float, 3>>& albedo,
                                             const std::vector<std::array<double, 3>>& normals,
                                             const FaceLight& light);

}  // namespace jiff
