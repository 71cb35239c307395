// Exact unsigned distance from points to a triangle mesh, by a tree of boxes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

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

  private:
    using Vector = std::array<double, 3>;

    struct Triangle {
        Vector corner[3];
    };

    // Children of an inner node: the node that follows it, and `second_child`. A leaf has triangles.
    struct Node {
        Vector low, high;
        std::int64_t second_child = 0;
        std::int64_t begin = 0, end = 0;
    };

    std::int64_t build(std::int64_t begin, std::int64_t end);
    double squared_distance(const Vector& point) const;
    static double squared_distance(const Vector& point, const Triangle& triangle);
    static double squared_distance(const Vector& point, const Node& node);

    std::vector<Triangle> triangles_;
    std::vector<Node> nodes_;
};

}  // namespace jiff
