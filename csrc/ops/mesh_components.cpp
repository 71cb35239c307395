#include "ops/mesh_components.h"

#include <algorithm>
#include <numeric>

namespace jiff {

std::vector<std::int32_t> component_of_vertices(const Surface& surface) {
    // Union-find; the root of a set is its lowest vertex.
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
    for (std::size_t v = 0; v < parent.size(); ++v) parent[v] = root_of(static_cast<std::int32_t>(v));
    return parent;
}

Surface keep_vertices(const Surface& surface, const std::vector<std::uint8_t>& is_kept) {
    Surface kept;
    kept.num_queries_asked = surface.num_queries_asked;
    kept.num_queries_ideal = surface.num_queries_ideal;
    std::vector<std::int32_t> new_index(surface.vertices.size(), -1);
    for (std::size_t v = 0; v < surface.vertices.size(); ++v) {
        if (is_kept[v] == 0) continue;
        new_index[v] = static_cast<std::int32_t>(kept.vertices.size());
        kept.vertices.push_back(surface.vertices[v]);
    }
    for (const auto& face : surface.faces) {
        if (new_index[face[0]] >= 0)
            kept.faces.push_back({new_index[face[0]], new_index[face[1]], new_index[face[2]]});
    }
    return kept;
}

Surface largest_component(const Surface& surface) {
    const std::vector<std::int32_t> components = component_of_vertices(surface);
    std::vector<std::int64_t> num_faces(surface.vertices.size(), 0);
    for (const auto& face : surface.faces) ++num_faces[components[face[0]]];
    const auto largest =
        static_cast<std::int32_t>(std::max_element(num_faces.begin(), num_faces.end()) - num_faces.begin());
    std::vector<std::uint8_t> is_kept(components.size());
    std::transform(components.begin(), components.end(), is_kept.begin(),
                   [&](std::int32_t component) { return component == largest; });
    return keep_vertices(surface, is_kept);
}

}  // namespace jiff
