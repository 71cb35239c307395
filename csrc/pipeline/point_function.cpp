#include "pipeline/point_function.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace jiff {
namespace {

// Points that were taken out of a row, with the way back.
struct Selection {
    std::vector<std::int64_t> rows;
    std::vector<float> points;

    void add(std::int64_t row, const float* point) {
        rows.push_back(row);
        points.insert(points.end(), point, point + 3);
    }

    std::vector<float> ask(const PointFunction& function, std::int64_t num_channels) const {
        std::vector<float> answers(rows.size() * static_cast<std::size_t>(num_channels));
        if (!rows.empty()) {
            function(points.data(), static_cast<std::int64_t>(rows.size()), answers.data());
        }
        return answers;
    }

    void put_back(const std::vector<float>& answers, std::int64_t num_channels, float* target) const {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            std::copy_n(answers.data() + i * num_channels, num_channels, target + rows[i] * num_channels);
        }
    }
};

std::vector<float> distances_cm(const FaceArea& area, const std::vector<float>& points) {
    std::vector<float> distances(points.size() / 3);
    area.mesh->query(points.data(), static_cast<std::int64_t>(distances.size()), distances.data());
    for (float& distance : distances) distance *= static_cast<float>(area.cm_per_unit);
    return distances;
}

}  // namespace

FaceRegion region_around(const Points& vertices, double margin) {
    FaceRegion region{vertices[0][0], vertices[0][0], vertices[0][1], vertices[0][1]};
    for (const auto& [x, y, z] : vertices) {
        region.left = std::min(region.left, x);
        region.right = std::max(region.right, x);
        region.top = std::min(region.top, y);
        region.bottom = std::max(region.bottom, y);
    }
    const auto reach =
        static_cast<float>(margin * std::max(region.right - region.left, region.bottom - region.top));
    region.left -= reach;
    region.right += reach;
    region.top -= reach;
    region.bottom += reach;
    return region;
}

FaceArea face_area(const Points& vertices, const Triangles& faces, double margin, bool by_distance,
                   double size_m) {
    FaceArea area;
    area.region = region_around(vertices, margin);
    area.cm_per_unit = 50.0 * size_m;
    if (by_distance) {
        area.mesh.emplace(vertices.data()->data(), static_cast<std::int64_t>(vertices.size()),
                          faces.data()->data(), static_cast<std::int64_t>(faces.size()));
    }
    return area;
}

PointFunction joined(PointFunction body, PointFunction face, const FaceArea& area,
                     std::int64_t num_channels) {
    return [body = std::move(body), face = std::move(face), &area, num_channels](
               const float* points, std::int64_t num_points, float* answers) {
        // Points keep their order, so that those of a column stay together.
        Selection outside, border, inside;
        std::vector<float> shares;
        for (std::int64_t i = 0; i < num_points; ++i) {
            const float* point = points + 3 * i;
            if (!area.region.contains(point[0], point[1])) {
                outside.add(i, point);
                continue;
            }
            const float share = border_share(area.region, point[0], point[1]);
            (share < 1.0f ? border : inside).add(i, point);
            if (share < 1.0f) shares.push_back(share);
        }
        // The face's answers, or with a mesh what is left of them at a distance from it.
        const auto answer = [&](const Selection& at, std::vector<float> of_body) {
            auto of_face = at.ask(face, num_channels);
            if (!area.mesh || at.rows.empty()) return of_face;
            const auto distances = distances_cm(area, at.points);
            blend_face(area.region, at.points.data(), static_cast<std::int64_t>(at.rows.size()), num_channels,
                       of_face.data(), distances.data(), of_body.data());
            return of_body;
        };
        outside.put_back(outside.ask(body, num_channels), num_channels, answers);

        auto passing = border.ask(body, num_channels);
        const auto to_face = answer(border, passing);
        for (std::size_t i = 0; i < passing.size(); ++i) {
            passing[i] = mixed(passing[i], to_face[i], shares[i / num_channels], num_channels == 1);
        }
        border.put_back(passing, num_channels, answers);

        const auto within = area.mesh ? inside.ask(body, num_channels) : std::vector<float>();
        inside.put_back(answer(inside, within), num_channels, answers);
    };
}

PointFunction remembered(PointFunction function, std::int64_t num_channels) {
    struct Memory {
        std::mutex mutex;
        std::vector<float> points, answers;
    };
    return [function = std::move(function), num_channels, memory = std::make_shared<Memory>()](
               const float* points, std::int64_t num_points, float* answers) {
        const auto num_answers = static_cast<std::size_t>(num_points * num_channels);
        {
            const std::lock_guard<std::mutex> lock(memory->mutex);
            if (std::equal(points, points + 3 * num_points, memory->points.begin(), memory->points.end())) {
                std::copy_n(memory->answers.data(), num_answers, answers);
                return;
            }
        }
        function(points, num_points, answers);
        const std::lock_guard<std::mutex> lock(memory->mutex);
        memory->points.assign(points, points + 3 * num_points);
        memory->answers.assign(answers, answers + num_answers);
    };
}

LatticeField lattice_field(PointFunction function, int resolution) {
    return [function = std::move(function), resolution](const LatticePoint* points, std::int64_t num_points,
                                                        float* values) {
        std::vector<float> view(static_cast<std::size_t>(num_points) * 3);
        const float step = 2.0f / static_cast<float>(resolution);
        for (std::int64_t i = 0; i < num_points; ++i) {
            view[3 * i] = -1.0f + step * static_cast<float>(points[i].x);
            view[3 * i + 1] = -1.0f + step * static_cast<float>(points[i].y);
            view[3 * i + 2] = -1.0f + step * static_cast<float>(points[i].z);
        }
        function(view.data(), num_points, values);
    };
}

}  // namespace jiff
