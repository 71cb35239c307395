#include "pipeline/face_reconstruction.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "pipeline/face_cover.h"
#include "pipeline/frame_coordinates.h"
#include "preprocess/framing.h"

namespace jiff {
namespace {

// Between the line of sight and where a usable face looks, as fitted: the regressor draws faces to the front
// and sees those that are turned by 60 to 70 degrees at 58 in the median.
constexpr double kMostAngleDeg = 56.0;
// The body's surface that the face is placed on: cells of about this size, as far around the face.
constexpr double kSurfaceCellM = 0.006;
constexpr double kSurfaceReachM = 0.06;
constexpr int kResolutionStep = 32, kLeastResolution = 64, kMostResolution = 512;
constexpr int kDilationPx = 8;
// More than the alignment's own limit: hair, glasses and hats are part of the surface and not of the face
// model.
constexpr double kMostResidualM = 0.014;
// So too: a body without a face, or with hair before it, turns a free face by 15 degrees where the fit is
// right.
constexpr double kMostRotationDeg = 20.0;
// How far the face proper reaches, in parts of the distance between the eyes.
constexpr double kBesideMiddle = 0.9, kAboveEyes = 0.35, kBelowMouth = 0.6;
// The photo tells the pose better than the body's rough face does: with the alignment's own weights faces of
// 14 people were left turned by 5.7 degrees in the mean, with these by 4.1; larger ones change nothing.
constexpr double kPoseWeight = 2.0;

// Whether a face that was left free to turn, grow and move stayed near to where it is seen. One that did not
// was most often read wrongly.
bool is_plausible(FaceAlignmentStatus status) {
    return status == FaceAlignmentStatus::kUsed || status == FaceAlignmentStatus::kWorseThanStart;
}

int surface_resolution(double size_m) {
    const int steps = static_cast<int>(std::ceil(size_m / kSurfaceCellM / kResolutionStep));
    return std::clamp(steps * kResolutionStep, kLeastResolution, kMostResolution);
}

// Lattice columns that are within reach of `vertices`, which are in the view.
std::vector<std::uint8_t> columns_around(const Points& vertices, const Tensor& alpha, int resolution,
                                         double reach) {
    auto columns = silhouette_columns(alpha, resolution, kDilationPx);
    const FaceRegion box = region_around(vertices, 0.0);
    std::size_t column = 0;
    for (int y = 0; y <= resolution; ++y) {
        for (int x = 0; x <= resolution; ++x, ++column) {
            const double view_x = -1.0 + 2.0 * x / resolution, view_y = -1.0 + 2.0 * y / resolution;
            const bool is_near = view_x >= box.left - reach && view_x <= box.right + reach &&
                                 view_y >= box.top - reach && view_y <= box.bottom + reach;
            if (!is_near) columns[column] = 0;
        }
    }
    return columns;
}

// The body's surface around a face whose vertices are in the world, wherever in depth; and what it took.
Mesh surface_around(const Points& face, const FramedPerson& person, const SurfaceFunction& body,
                    const ProgressCallback& progress, std::int64_t& num_queries) {
    ExtractionOptions options;
    options.resolution = surface_resolution(person.size_m);
    options.columns = columns_around(view_from_world(face, person.size_m), *person.alpha, options.resolution,
                                     2.0 / person.size_m * kSurfaceReachM);
    const Surface surface = body(options, progress);
    num_queries = surface.num_queries_asked;
    Mesh mesh;
    mesh.vertices = world_from_view(view_from_lattice(surface.vertices, options.resolution), person.size_m);
    mesh.faces = world_triangles(surface.faces);
    return mesh;
}

// Where points of the world are seen in the photo.
std::vector<std::array<double, 2>> photo_places(const Points& world, const FramedPerson& person) {
    const auto matrix = image_from_world(person.frame, person.size_m);
    std::vector<std::array<double, 2>> places;
    for (const auto& [x, y, z] : world)
        places.push_back({matrix[0] * x + matrix[3], matrix[5] * y + matrix[7]});
    return places;
}

// The vertices from the brows to the chin and from cheek to cheek: what lies around is the skull, under hair,
// and ears.
std::vector<std::uint8_t> face_proper(const FaceModel& model, const Points& vertices) {
    const auto [left_eye, right_eye, nose, left_mouth, right_mouth] = model.five_landmarks(vertices);
    const double eyes = right_eye[0] - left_eye[0];
    const double middle = (left_eye[0] + right_eye[0]) / 2.0;
    const double top = (left_eye[1] + right_eye[1]) / 2.0 + kAboveEyes * eyes;
    const double bottom = (left_mouth[1] + right_mouth[1]) / 2.0 - kBelowMouth * eyes;
    std::vector<std::uint8_t> flags;
    for (const auto& [x, y, z] : vertices)
        flags.push_back(std::abs(x - middle) <= kBesideMiddle * eyes && y >= bottom && y <= top);
    return flags;
}

bool is_finite(const Points& points) {
    return std::all_of(points.begin(), points.end(), [](const auto& point) {
        return std::isfinite(point[0]) && std::isfinite(point[1]) && std::isfinite(point[2]);
    });
}

}  // namespace

FaceReconstruction::FaceReconstruction(const Bundle& bundle, Engine& engine, Precision precision)
    : fitter_(bundle, engine),
      shape_volume_(bundle.face->shape_volume, engine),
      shape_head_(bundle.face->shape_head, precision),
      shape_features_(bundle.face->shape_features),
      region_margin_(bundle.face->region_margin) {
    if (bundle.face->head_encoder) head_encoder_.emplace(*bundle.face->head_encoder, engine);
    if (!bundle.face->color) return;
    color_.emplace(Color{ColorVolumeEncoder(bundle.face->color->volume, engine),
                         JointQuery(bundle.face->color->head, precision)});
}

FaceResult FaceReconstruction::fit(const FramedPerson& person, const SurfaceFunction& body,
                                   Stages& stages) const {
    FaceResult result;
    stages.start("detect_face", 0.42f);
    result.detected = fitter_.find(person.rgb, person.mask, person.frame);
    if (!result.detected) {
        result.status = "no_face";
        return result;
    }
    stages.start("fit_face", 0.44f);
    result.fit = fitter_.fit(person.rgb, *result.detected);
    if (!result.fit) {
        result.status = "no_fit";
        return result;
    }
    const FaceModel& model = fitter_.model();
    const FaceFit& fit = *result.fit;
    const Similarity start =
        place_face(fit.coefficients.pose, fitter_.side_m(), fit.crop, person.frame, person.size_m);
    const Points begin = placed(start, fit.vertices);
    if (!is_finite(fit.vertices) || !is_finite(begin)) {
        result.status = "no_fit";
        return result;
    }
    if (fit.angle_deg > kMostAngleDeg) {
        result.status = "turned_away";
        return result;
    }
    const auto albedo = model.albedo(fit.coefficients);
    const auto normals = vertex_normals(begin, model.triangles());
    if (is_covered(person.rgb, model, photo_places(begin, person), normals,
                   lit_colors(albedo, normals, fit.coefficients.light))) {
        result.status = "covered";
        return result;
    }
    stages.start("align_face", 0.5f);
    const Mesh surface = surface_around(begin, person, body, stages.inner(), result.num_queries);
    FaceAlignmentOptions options;
    options.max_residual_m = kMostResidualM;
    options.max_rotation_deg = kMostRotationDeg;
    options.counted = face_proper(model, fit.vertices);
    options.settles_in_depth = true;
    const FaceAligner aligner(fit.vertices, model.triangles(), start, surface.vertices, surface.faces,
                              options);
    result.alignment = aligner.align(options.weights);
    if (is_plausible(result.alignment->status)) result.alignment = aligner.align({kPoseWeight, kPoseWeight});
    result.status = name(result.alignment->status);
    result.mesh.vertices = placed(result.alignment->placement, fit.vertices);
    result.mesh.faces = model.triangles();
    result.mesh.colors =
        lit_colors(albedo, vertex_normals(result.mesh.vertices, result.mesh.faces), fit.coefficients.light);
    return result;
}

}  // namespace jiff
