#include "pipeline/face_model.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "io/safetensors.h"
#include "pipeline/manifest.h"

namespace jiff {
namespace {

constexpr double kGamma = 2.2;

// Real spherical harmonics up to the second order, in the order of the coefficients.
std::array<double, 9> harmonics(const std::array<double, 3>& normal) {
    const auto [x, y, z] = normal;
    return {0.282095,
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3.0 * z * z - 1.0),
            1.092548 * x * z,
            0.546274 * (x * x - y * y)};
}

// Takes the tensors of a face model's file apart, with the file and the tensor in every error.
class ModelFile {
  public:
    explicit ModelFile(const std::string& path) : path_(path), tensors_(read_safetensors(path)) {}

    // A tensor of finite numbers; -1 in `shape` stands for any length from `least` to `most`.
    const Tensor& at(const std::string& name, const Shape& shape, std::int64_t least = 1,
                     std::int64_t most = INT32_MAX) const {
        const auto found = tensors_.find(name);
        if (found == tensors_.end()) {
            fail_bundle("face model '" + path_ + "' has no tensor '" + name + "'", kExportAgain);
        }
        const Shape& sides = found->second.shape();
        bool fits = sides.size() == shape.size();
        for (std::size_t axis = 0; fits && axis < shape.size(); ++axis) {
            fits =
                shape[axis] == -1 ? sides[axis] >= least && sides[axis] <= most : sides[axis] == shape[axis];
        }
        if (!fits) {
            std::string wanted = to_string(shape);
            for (std::size_t at; (at = wanted.find("-1")) != std::string::npos;) wanted.replace(at, 2, "*");
            if (most != INT32_MAX) wanted += " with at most " + std::to_string(most) + " components";
            fail(name, "must have shape " + wanted + ", got " + to_string(sides));
        }
        const float* end = found->second.data() + found->second.size();
        const float* wrong =
            std::find_if_not(found->second.data(), end, [](float value) { return std::isfinite(value); });
        if (wrong != end) fail(name, "must hold finite numbers, got " + std::to_string(*wrong));
        return found->second;
    }

    std::vector<std::array<float, 3>> rows(const std::string& name, std::int64_t num_rows) const {
        const Tensor& tensor = at(name, {num_rows, 3});
        std::vector<std::array<float, 3>> rows(static_cast<std::size_t>(tensor.shape()[0]));
        std::copy_n(tensor.data(), tensor.size(), rows.data()->data());
        return rows;
    }

    // Indices of vertices, which lie in the file as floats.
    template <std::size_t kSize>
    std::vector<std::array<std::int32_t, kSize>> indices(const std::string& name, std::int64_t num_rows,
                                                         std::int64_t num_vertices) const {
        const Tensor& tensor = at(name, {num_rows, static_cast<std::int64_t>(kSize)});
        std::vector<std::array<std::int32_t, kSize>> rows(static_cast<std::size_t>(tensor.shape()[0]));
        std::transform(tensor.data(), tensor.data() + tensor.size(), rows.data()->data(), [&](float value) {
            if (value < 0.0f || value >= static_cast<float>(num_vertices) || value != std::floor(value)) {
                fail(name, "names vertex " + std::to_string(value) + " of " + std::to_string(num_vertices));
            }
            return static_cast<std::int32_t>(value);
        });
        return rows;
    }

  private:
    [[noreturn]] void fail(const std::string& name, const std::string& what) const {
        fail_bundle("tensor '" + name + "' of face model '" + path_ + "' " + what, kExportAgain);
    }

    std::string path_;
    std::map<std::string, Tensor> tensors_;
};

// values += basis · weights, with as many components as both have.
template <std::size_t kSize>
void add_components(const Tensor& basis, const std::array<float, kSize>& weights,
                    std::vector<std::array<float, 3>>& values) {
    const auto num_components = std::min<std::int64_t>(basis.shape()[0], static_cast<std::int64_t>(kSize));
    const std::int64_t num_values = basis.shape()[1] * 3;
    float* sums = values.data()->data();
    for (std::int64_t component = 0; component < num_components; ++component) {
        const float weight = weights[component];
        const float* direction = basis.data() + component * num_values;
        for (std::int64_t i = 0; i < num_values; ++i) sums[i] += weight * direction[i];
    }
}

}  // namespace

FaceCoefficients FaceCoefficients::split(const std::array<float, kNumFaceCoefficients>& values) {
    FaceCoefficients parts;
    const float* next = values.data();
    const auto take = [&next](auto& target) {
        std::copy_n(next, target.size(), target.begin());
        next += target.size();
    };
    take(parts.identity);
    take(parts.expression);
    take(parts.texture);
    take(parts.light);
    take(parts.pose.angles);
    take(parts.pose.shift);
    parts.pose.log_scale = *next;
    return parts;
}

FaceModel::FaceModel(const std::string& path) {
    const ModelFile file(path);
    mean_shape_ = file.rows("mean_shape", -1);
    const std::int64_t num = num_vertices();
    mean_texture_ = file.rows("mean_texture", num);
    const FaceCoefficients widths;
    const auto basis = [&](const char* name, std::size_t width) {
        return file.at(name, {-1, num, 3}, 0, static_cast<std::int64_t>(width));
    };
    identity_basis_ = basis("identity_basis", widths.identity.size());
    expression_basis_ = basis("expression_basis", widths.expression.size());
    texture_basis_ = basis("texture_basis", widths.texture.size());
    triangles_ = file.indices<3>("triangles", -1, num);
    const auto points = file.indices<2>("five_points", 5, num);
    std::copy(points.begin(), points.end(), five_points_.begin());
}

Points FaceModel::vertices(const FaceCoefficients& coefficients) const {
    Points vertices = mean_shape_;
    add_components(identity_basis_, coefficients.identity, vertices);
    add_components(expression_basis_, coefficients.expression, vertices);
    return vertices;
}

std::vector<std::array<float, 3>> FaceModel::albedo(const FaceCoefficients& coefficients) const {
    auto colors = mean_texture_;
    add_components(texture_basis_, coefficients.texture, colors);
    for (auto& color : colors) {
        for (float& value : color) value = std::clamp(value, 0.0f, 1.0f);
    }
    return colors;
}

LandmarkTemplate FaceModel::five_landmarks(const Points& vertices) const {
    LandmarkTemplate landmarks{};
    for (std::size_t i = 0; i < landmarks.size(); ++i) {
        const auto [first, second] = five_points_[i];
        for (int axis = 0; axis < 3; ++axis) {
            landmarks[i][axis] = (static_cast<double>(vertices[first][axis]) + vertices[second][axis]) / 2.0;
        }
    }
    return landmarks;
}

std::vector<std::array<float, 3>> lit_colors(const std::vector<std::array<float, 3>>& albedo,
                                             const std::vector<std::array<double, 3>>& normals,
                                             const FaceLight& light) {
    std::vector<std::array<float, 3>> colors(albedo.size());
    for (std::size_t i = 0; i < albedo.size(); ++i) {
        const auto basis = harmonics(normals[i]);
        for (std::size_t channel = 0; channel < 3; ++channel) {
            double radiance = 0.0;
            for (std::size_t k = 0; k < basis.size(); ++k) radiance += basis[k] * light[9 * channel + k];
            const double linear =
                std::pow(static_cast<double>(albedo[i][channel]), kGamma) * std::max(radiance, 0.0);
            colors[i][channel] = static_cast<float>(std::clamp(std::pow(linear, 1.0 / kGamma), 0.0, 1.0));
        }
    }
    return colors;
}

}  // namespace jiff
