// Where a fitted face lies in the world: from its pose in the crop, then by ICP against a surface.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "pipeline/triangle_mesh.h"
#include "preprocess/image_warp.h"

namespace jiff {

// world = scale · rotation · model + translation; rotation row-major.
struct Similarity {
    std::array<double, 9> rotation = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    double scale = 1.0;
    std::array<double, 3> translation{};
};

// `points` of the model in the world, or in any space that `placement` leads to.
Points placed(const Similarity& placement, const Points& points);

// The last six coefficients (docs/conventions.md, "Face").
struct FacePose {
    std::array<double, 3> angles{};  // radians about x, y, z
    std::array<double, 2> shift{};   // half sides of the crop, x right, y down
    double log_scale = 0.0;
};

// Places a face that was fitted in `crop` (pixels of the photo, `side_m` wide on the mean face) in the world
// of a frame that shows `size_m` metres in the square `frame`. Depth is left at zero: a photo without
// perspective does not tell it.
Similarity place_face(const FacePose& pose, double side_m, const Box& crop, const Box& frame, double size_m);

// Of what the start says against all that the surface says.
struct FaceAlignmentWeights {
    double image = 0.3;  // the places in the photo
    double pose = 0.0;   // the depths, but for a common one
};

struct FaceAlignmentOptions {
    int num_iterations = 40;
    double reach_m = 0.03;           // pairs further apart do not count
    double kept_share = 0.85;        // of the pairs, the nearest
    double min_normal_cosine = 0.3;  // between a vertex and its partner
    double min_pair_share = 0.3;     // of the counted vertices that must find a partner
    FaceAlignmentWeights weights;
    // After all, moves the face onto the front again, in depth alone: a surface that is rougher than the face
    // holds no more than its depth.
    bool settles_in_depth = false;
    // Flags of the vertices that count against the surface: others may lie under hair. Empty: all.
    std::vector<std::uint8_t> counted;
    double max_rotation_deg = 12.0;  // from the start, as the limits below
    double max_scale_change = 0.08;  // share of the start's scale
    double max_shift_m = 0.03;       // across the line of sight
    double max_residual_m = 0.008;   // a worse fit is not used
};

enum class FaceAlignmentStatus {
    kUsed,
    kNoSurface,         // nothing of the surface lies where the face is seen
    kTooFewPairs,       // too little of the face has a partner on the surface
    kTurnedTooFar,      // beyond max_rotation_deg
    kScaledTooFar,      // beyond max_scale_change
    kMovedTooFar,       // beyond max_shift_m
    kWorseThanStart,    // the residual rose, or a tenth of the partners was lost
    kTooFarFromSurface  // beyond max_residual_m
};

// "used", "no_surface", and so on: the spelling that Python sees.
const char* name(FaceAlignmentStatus status) noexcept;

struct FaceAlignment {
    FaceAlignmentStatus status = FaceAlignmentStatus::kUsed;
    Similarity placement;  // refined if used, else the start, moved in depth where that was possible
    // Root mean square distance to the surface after the move in depth, and after all: over the vertices that
    // have a partner both times, so that losing partners is no gain.
    double residual_start_m = 0.0;
    double residual_m = 0.0;
    double rotation_deg = 0.0;  // what the refinement asked for, also when it was refused
    double scale_change = 0.0;
    double shift_m = 0.0;
    std::int64_t num_pairs_start = 0;
    std::int64_t num_pairs = 0;
    int num_iterations = 0;
};

// Moves a face in depth onto the front of a surface, then refines all of its placement by point-to-plane ICP
// in which the start's places in the photo also pull. `vertices` are the face's in its own axes; the
// surface, which may be far larger than the face, and `start` are in the world, z toward the camera.
class FaceAligner {
  public:
    // What is given may go after this. Throws Error(kInvalidArgument) when a triangle names no vertex or a
    // number is not finite.
    FaceAligner(const Points& vertices, const Triangles& faces, const Similarity& start,
                const Points& surface_vertices, const Triangles& surface_faces,
                const FaceAlignmentOptions& options = {});
    ~FaceAligner();

    // With these weights instead of the options'. Never throws for a surface that does not fit: the status
    // says so.
    FaceAlignment align(const FaceAlignmentWeights& weights) const;

  private:
    struct Parts;
    std::unique_ptr<const Parts> parts_;
};

// The same, once.
FaceAlignment align_face(const Points& vertices, const Triangles& faces, const Similarity& start,
                         const Points& surface_vertices, const Triangles& surface_faces,
                         const FaceAlignmentOptions& options = {});

}  // namespace jiff
