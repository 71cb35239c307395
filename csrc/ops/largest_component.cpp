#include <algorithm>
#include <numeric>

#include "ops/surface_extraction.h"

namespace jiff {

Surface largest_component(const Surface& surface) {
    // Union-find over the vertices; the root of a set is its lowest vertex.
    std::vector<std::int32_t> parent(surface.vertices.size());
    std::iota(parent.begin(), parent.end(), 0);
    const auto root_of = [&](std::int32_t vertex) {
        while (parent[vertex] != vertex) vertex = parent[vertex] = parent[parent[vertex]];
        return vertex;
    };
    for (const auto& face : surface.faces) {
        for (int i = 1; i < 3; ++i) {
            const std::int32_t a = root_of(face[0]), b = root_of(face[i]);
            parent[std::max(a, b)] = std::min(a, b);
        }
    }

    Surface largest;
    largest.num_queries_asked = surface.num_queries_asked;
    largest.num_queries_ideal = surface.num_queries_ideal;
    if (surface.faces.empty()) return largest;

    std::vector<std::int64_t> num_faces(surface.vertices.size(), 0);
    for (const auto& face : surface.faces) ++num_faces[root_of(face[0])];
    const auto kept =
        static_cast<std::int32_t>(std::max_element(num_faces.begin(), num_faces.end()) - num_faces.begin());

    std::vector<std::int32_t> new_index(surface.vertices.size(), -1);
    for (std::size_t v = 0; v < surface.vertices.size(); ++v) {
        if (root_of(static_cast<std::int32_t>(v)) != kept) continue;
        new_index[v] = static_cast<std::int32_t>(largest.vertices.size());
        largest.vertices.push_back(surface.vertices[v]);
    }
    for (const auto& face : surface.faces) {
        if (new_index[face[0]] >= 0)
            largest.faces.push_back({new_index[face[0]], new_index[face[1]], new_index[face[2]]});
    }
    return largest;
}

}  // namespace jiff
