#include "pipeline/face_detector.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <tuple>

#include "core/status.h"
#include "pipeline/loaded_graph.h"

namespace jiff {
namespace {

// Largest overlaps that stay, as published: proposals of one level, of all levels, refined, final.
constexpr float kLevelOverlap = 0.5f;
constexpr float kProposalOverlap = 0.7f;
constexpr float kRefinedOverlap = 0.7f;
constexpr float kFinalOverlap = 0.7f;

struct Stage {
    LoadedGraph graph;
    float least_score;
    int batch_size;
    int size_px;

    Stage(const char* name, const FaceStageSpec& spec, Engine& engine)
        : graph(name, spec.graph, engine),
          least_score(spec.least_score),
          batch_size(static_cast<int>(spec.graph.inputs.at("image")[0])),
          size_px(static_cast<int>(spec.graph.inputs.at("image")[2])) {}

    NamedTensors run(const Tensor& image) const {
        NamedTensors outputs = graph.run(image);
        for (const auto& [name, tensor] : outputs) {
            if (std::all_of(tensor.data(), tensor.data() + tensor.size(),
                            [](float v) { return std::isfinite(v); })) {
                continue;
            }
            throw Error(ErrorCode::kInvalidField,
                        "a face detection network returned '" + name +
                            "' that is not finite; check the bundle and the engine");
        }
        return outputs;
    }
};

// A window and what a network said about it.
struct Candidate {
    FaceWindow window;
    std::array<float, 4> offsets{};
    std::array<float, 10> landmarks{};
};

std::vector<FaceWindow> windows_of(const std::vector<Candidate>& candidates) {
    std::vector<FaceWindow> windows;
    windows.reserve(candidates.size());
    for (const Candidate& candidate : candidates) windows.push_back(candidate.window);
    return windows;
}

std::vector<Candidate> without_overlaps(const std::vector<Candidate>& candidates, float most_overlap,
                                        OverlapMode mode) {
    std::vector<Candidate> kept;
    for (std::size_t i : suppress_overlaps(windows_of(candidates), most_overlap, mode))
        kept.push_back(candidates[i]);
    return kept;
}

// The proposal network slides a window over a picture of any size, but graphs have static shapes. Square
// tiles of a level that overlap by a window less one stride give exactly the cells that the whole level
// would, and cost less than one large fixed picture does.
class LevelTiles {
  public:
    LevelTiles(const PyramidLevel& level, int tile_px)
        : level_(level),
          tile_px_(tile_px),
          cells_a_tile_(num_proposal_cells(tile_px)),
          num_columns_(num_proposal_cells(level.width_px)),
          num_rows_(num_proposal_cells(level.height_px)),
          tiles_a_row_((num_columns_ + cells_a_tile_ - 1) / cells_a_tile_) {}

    int num_tiles() const { return tiles_a_row_ * ((num_rows_ + cells_a_tile_ - 1) / cells_a_tile_); }

    // Tile `index` of the level's picture [3, height, width] as [4, tile_px, tile_px]: what lies beyond the
    // border is 0, and 1 in the fourth channel.
    void cut(const Tensor& picture, int index, float* tile) const {
        const int left = kProposalStridePx * first_column(index);
        const int top = kProposalStridePx * first_row(index);
        const int width = std::min(tile_px_, level_.width_px - left);
        const int height = std::min(tile_px_, level_.height_px - top);
        const std::int64_t plane = std::int64_t(tile_px_) * tile_px_;
        std::fill_n(tile, 3 * plane, 0.0f);
        std::fill_n(tile + 3 * plane, plane, 1.0f);
        for (int row = 0; row < height; ++row) {
            float* target = tile + std::int64_t(row) * tile_px_;
            for (int channel = 0; channel < 3; ++channel) {
                const float* source =
                    picture.data() +
                    (std::int64_t(channel) * level_.height_px + top + row) * level_.width_px + left;
                std::copy_n(source, width, target + channel * plane);
            }
            std::fill_n(target + 3 * plane, width, 0.0f);
        }
    }

    // Appends the cells of tile `index` that score enough: of `score` [1, C, C] and `offsets` [4, C, C].
    void collect(int index, const float* score, const float* offsets, float least_score,
                 std::vector<Candidate>& found) const {
        const int num_columns = std::min(cells_a_tile_, num_columns_ - first_column(index));
        const int num_rows = std::min(cells_a_tile_, num_rows_ - first_row(index));
        const std::int64_t plane = std::int64_t(cells_a_tile_) * cells_a_tile_;
        for (int row = 0; row < num_rows; ++row) {
            for (int column = 0; column < num_columns; ++column) {
                const std::int64_t cell = std::int64_t(row) * cells_a_tile_ + column;
                if (score[cell] < least_score) continue;
                Candidate candidate;
                candidate.window = proposal_window(level_, first_column(index) + column,
                                                   first_row(index) + row, score[cell]);
                for (int i = 0; i < 4; ++i) candidate.offsets[i] = offsets[i * plane + cell];
                found.push_back(candidate);
            }
        }
    }

  private:
    int first_column(int index) const { return index % tiles_a_row_ * cells_a_tile_; }
    int first_row(int index) const { return index / tiles_a_row_ * cells_a_tile_; }

    PyramidLevel level_;
    int tile_px_, cells_a_tile_, num_columns_, num_rows_, tiles_a_row_;
};

// Candidates of every level. Tiles of several levels share a batch, so that only the last may run half empty.
std::vector<std::vector<Candidate>> scan_levels(const ImageView& rgb, const std::vector<PyramidLevel>& levels,
                                                const Stage& stage) {
    struct TileRef {
        std::size_t level;
        int index;
    };
    std::vector<LevelTiles> tiles;
    std::vector<TileRef> queue;
    for (std::size_t i = 0; i < levels.size(); ++i) {
        tiles.emplace_back(levels[i], stage.size_px);
        for (int index = 0; index < tiles[i].num_tiles(); ++index) queue.push_back({i, index});
    }

    std::vector<std::vector<Candidate>> found(levels.size());
    Tensor picture;
    std::size_t pictured = levels.size();
    for (std::size_t begin = 0; begin < queue.size(); begin += stage.batch_size) {
        const std::size_t num_tiles = std::min<std::size_t>(stage.batch_size, queue.size() - begin);
        Tensor batch({stage.batch_size, 4, stage.size_px, stage.size_px});
        const std::int64_t tile_size = batch.size() / stage.batch_size;
        for (std::size_t i = 0; i < num_tiles; ++i) {
            const auto& [level, index] = queue[begin + i];
            if (level != pictured) {
                picture = Tensor({3, levels[level].height_px, levels[level].width_px});
                average_pixels(rgb, {0, 0, rgb.width_px, rgb.height_px}, levels[level].width_px,
                               levels[level].height_px, picture.data());
                pictured = level;
            }
            tiles[level].cut(picture, index, batch.data() + std::int64_t(i) * tile_size);
        }
        const NamedTensors outputs = stage.run(batch);
        const Tensor &score = outputs.at("score"), &offsets = outputs.at("offsets");
        for (std::size_t i = 0; i < num_tiles; ++i) {
            const auto& [level, index] = queue[begin + i];
            tiles[level].collect(index, score.data() + std::int64_t(i) * (score.size() / stage.batch_size),
                                 offsets.data() + std::int64_t(i) * (offsets.size() / stage.batch_size),
                                 stage.least_score, found[level]);
        }
    }
    // Row by row as if the level were whole: the first of equal scores stays.
    for (auto& candidates : found) {
        std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
            return std::tie(a.window.top, a.window.left) < std::tie(b.window.top, b.window.left);
        });
    }
    return found;
}

// Square windows that may show a face.
std::vector<FaceWindow> propose(const ImageView& rgb, double min_face_px, const Stage& stage) {
    const auto levels = face_pyramid(rgb.width_px, rgb.height_px, min_face_px);
    std::vector<Candidate> proposals;
    for (const auto& candidates : scan_levels(rgb, levels, stage)) {
        for (const Candidate& kept : without_overlaps(candidates, kLevelOverlap, OverlapMode::kUnion))
            proposals.push_back(kept);
    }
    std::vector<FaceWindow> windows;
    for (const Candidate& kept : without_overlaps(proposals, kProposalOverlap, OverlapMode::kUnion)) {
        windows.push_back(
            square_window(regress_window(kept.window, kept.offsets, WindowSize::kWithoutLastPixel)));
    }
    return windows;
}

// What the network says of the windows that it scores above its threshold. Windows off the photo are left
// out.
std::vector<Candidate> assess(const ImageView& rgb, const std::vector<FaceWindow>& windows,
                              const Stage& stage) {
    struct Crop {
        FaceWindow window;
        PixelRect pixels;
    };
    std::vector<Crop> crops;
    for (const FaceWindow& window : windows) {
        if (const auto pixels = window_pixels(window, rgb.width_px, rgb.height_px))
            crops.push_back({window, *pixels});
    }
    std::vector<Candidate> found;
    for (std::size_t begin = 0; begin < crops.size(); begin += stage.batch_size) {
        const std::size_t num_crops = std::min<std::size_t>(stage.batch_size, crops.size() - begin);
        Tensor batch({stage.batch_size, 3, stage.size_px, stage.size_px});
        for (std::size_t i = 0; i < num_crops; ++i) {
            average_pixels(rgb, crops[begin + i].pixels, stage.size_px, stage.size_px,
                           batch.data() + std::int64_t(i) * (batch.size() / stage.batch_size));
        }
        const NamedTensors outputs = stage.run(batch);
        const auto landmarks = outputs.find("landmarks");
        for (std::size_t i = 0; i < num_crops; ++i) {
            const float score = outputs.at("score").data()[i];
            if (!(score > stage.least_score)) continue;
            Candidate candidate;
            candidate.window = crops[begin + i].window;
            candidate.window.score = score;
            std::copy_n(outputs.at("offsets").data() + 4 * i, 4, candidate.offsets.begin());
            if (landmarks != outputs.end())
                std::copy_n(landmarks->second.data() + 10 * i, 10, candidate.landmarks.begin());
            found.push_back(candidate);
        }
    }
    return found;
}

// The box is `moved`, by the network's offsets; the landmarks are shares of the window as the network saw it.
Face to_face(const Candidate& found, const FaceWindow& moved) {
    const FaceWindow& window = found.window;
    Face face;
    face.box = window_box(moved);
    face.score = window.score;
    for (int i = 0; i < 5; ++i) {
        face.landmarks[i] = {
            (window.right - window.left + 1.0f) * found.landmarks[i] + window.left - 1.0f,
            (window.bottom - window.top + 1.0f) * found.landmarks[i + 5] + window.top - 1.0f};
    }
    return face;
}

const FaceDetectionSpec& require_spec(const Bundle& bundle) {
    if (bundle.face_detection) return *bundle.face_detection;
    throw Error(ErrorCode::kBundle,
                "bundle '" + bundle.directory + "' has no 'face_detection'; export it with a face detector");
}

}  // namespace

struct FaceDetector::Networks {
    Stage proposal, refinement, landmarks;
};

FaceDetector::FaceDetector(const Bundle& bundle, Engine& engine) {
    const FaceDetectionSpec& spec = require_spec(bundle);
    networks_ = std::make_unique<Networks>(Networks{{"face_proposal", spec.proposal, engine},
                                                    {"face_refinement", spec.refinement, engine},
                                                    {"face_landmarks", spec.landmarks, engine}});
}

FaceDetector::~FaceDetector() = default;

std::vector<Face> FaceDetector::detect(const ImageView& rgb, const FaceDetectionOptions& options) const {
    if (rgb.values == nullptr || rgb.width_px < 1 || rgb.height_px < 1 || rgb.num_channels != 3) {
        throw Error(ErrorCode::kInvalidImage, "faces are found in RGB photographs, got one of " +
                                                  std::to_string(rgb.width_px) + " x " +
                                                  std::to_string(rgb.height_px) + " px with " +
                                                  std::to_string(rgb.num_channels) + " channels");
    }
    const double min_face_px = options.min_face_px.value_or(default_min_face_px(rgb.width_px, rgb.height_px));
    const auto proposals = propose(rgb, min_face_px, networks_->proposal);

    std::vector<FaceWindow> refined;
    for (const Candidate& kept : without_overlaps(assess(rgb, proposals, networks_->refinement),
                                                  kRefinedOverlap, OverlapMode::kUnion)) {
        refined.push_back(
            square_window(regress_window(kept.window, kept.offsets, WindowSize::kWithLastPixel)));
    }

    const auto found = assess(rgb, refined, networks_->landmarks);
    std::vector<FaceWindow> moved;
    for (const Candidate& candidate : found)
        moved.push_back(regress_window(candidate.window, candidate.offsets, WindowSize::kWithLastPixel));
    std::vector<Face> faces;
    for (std::size_t i : suppress_overlaps(moved, kFinalOverlap, OverlapMode::kSmaller))
        faces.push_back(to_face(found[i], moved[i]));
    return faces;
}

}  // namespace jiff
