#include "ops/surface_check.h"

#include <algorithm>
#include <map>

#include "ops/mesh_components.h"

namespace jiff {

SurfaceCheck check_surface(const LatticeField& field, ExtractionOptions options) {
    SurfaceCheck check;
    options.dense = false;
    check.followed = extract_surface(field, options);
    options.dense = true;
    check.dense = extract_surface(field, options);

    // Both come in the same order, so that a component stands in both or is missed as a whole.
    auto known = check.followed.vertices;
    std::sort(known.begin(), known.end());
    const auto& vertices = check.dense.vertices;
    const std::vector<std::int32_t> components = component_of_vertices(check.dense);
    std::map<std::int32_t, MissedComponent> missed;
    std::vector<std::uint8_t> is_found(vertices.size(), 0);
    for (std::size_t v = 0; v < vertices.size(); ++v) {
        const std::int32_t first = components[v];
        if (first == static_cast<std::int32_t>(v)) {
            ++check.num_components;
            is_found[v] = std::binary_search(known.begin(), known.end(), vertices[v]);
            if (is_found[v] == 0) missed[first] = {0, vertices[v], vertices[v]};
        }
        is_found[v] = is_found[first];
        if (is_found[v] != 0) continue;
        MissedComponent& component = missed[first];
        for (int axis = 0; axis < 3; ++axis) {
            component.lowest[axis] = std::min(component.lowest[axis], vertices[v][axis]);
            component.highest[axis] = std::max(component.highest[axis], vertices[v][axis]);
        }
    }
    for (const auto& face : check.dense.faces) {
        if (is_found[face[0]] == 0) ++missed[components[face[0]]].num_faces;
    }
    for (const auto& [first, component] : missed) check.missed.push_back(component);
    std::stable_sort(
        check.missed.begin(), check.missed.end(),
        [](const MissedComponent& a, const MissedComponent& b) { return a.num_faces > b.num_faces; });
    const Surface rest = keep_vertices(check.dense, is_found);
    check.is_rest_identical = rest.vertices == check.followed.vertices && rest.faces == check.followed.faces;
    return check;
}

}  // namespace jiff
