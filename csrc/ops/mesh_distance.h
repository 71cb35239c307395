// Exact unsigned distance from points to a triangle mesh, by a tree of boxes.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/triangle_tree.h"

namespace jiff {

class MeshDistance {
  public:
    // `vertices` [V, 3] in any unit, `faces` [F, 3]. Faces may be degenerate and need not be closed.
    // Throws Error(kInvalidArgument) if there is no face, a face names a vertex that is not there, or a
    // coordinate is not finite.
    MeshDistance(const float* vertices, std::int64_t num_vertices, const std::int32_t* faces,
                 std::int64_t num_faces);

    // Writes the distance of each point [N, 3] to the nearest point of the surface, in the vertices' unit.
    // Throws Error(kInvalidArgument) if a coordinate is not finite.
    void query(const float* points, std::int64_t num_points, float* distances) const;

    const std::vector<TreeTriangle>& triangles() const { return triangles_; }
    const std::vector<TreeNode>& nodes() const { return nodes_; }

  private:
    std::int64_t build(std::int64_t begin, std::int64_t end);

    std::vector<TreeTriangle> triangles_;
    std::vector<TreeNode> nodes_;
};

}  // namespace jiff
