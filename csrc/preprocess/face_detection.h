// The parts of the MTCNN cascade (Zhang et al. 2016; paper ref. [68]) that are no network: the pyramid, the
// windows and what is done to them, and the choice of one person's face.
//
// Rounding, resampling and the order of ties follow the implementation that the public weights come with
// (facenet-pytorch 2.6.0), so that the same faces are found in the same places.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "preprocess/image_warp.h"

namespace jiff {

inline constexpr int kProposalWindowPx = 12;   // what the proposal network sees of a level at once
inline constexpr int kProposalStridePx = 2;    // between two such windows
inline constexpr double kLeastMinFacePx = 12;  // a smaller face would need an enlarged photo

struct Face {
    Box box;
    float score = 0.0f;  // in [0, 1]
    // (x, y) in the photo: the eyes, left in the picture first, the tip of the nose, the corners of the
    // mouth.
    std::array<std::array<float, 2>, 5> landmarks{};
};

// A candidate, held as the weights were trained: first and last pixel, counted from 1.
struct FaceWindow {
    float left = 0.0f;
    float top = 0.0f;
    float right = 0.0f;
    float bottom = 0.0f;
    float score = 0.0f;
};

// Pixels left … right - 1, top … bottom - 1.
struct PixelRect {
    int left = 0;
    int top = 0;
    int right = 0;
    int bottom = 0;
};

struct PyramidLevel {
    double scale = 1.0;  // level pixels a photo pixel
    int width_px = 0;
    int height_px = 0;
};

// The share of the union, or of the smaller window.
enum class OverlapMode { kUnion, kSmaller };

// The face side from which on a photo is searched when the caller gives none: 20 pixels, or as large a
// share of the shorter side as that is of 512. The time a search takes then depends on a photo's
// proportions alone.
double default_min_face_px(int photo_width_px, int photo_height_px);

// The scaled pictures in which a face of `min_face_px` or more fills a proposal window, finest first; empty
// where the photo is smaller than that. Throws Error(kInvalidArgument) when `min_face_px` is below
// kLeastMinFacePx or not finite.
std::vector<PyramidLevel> face_pyramid(int photo_width_px, int photo_height_px, double min_face_px);

// `part` of an RGB image as [3, height_px, width_px] in about [-1, 1], at `values`. Each pixel is the mean of
// the pixels that it touches, whole ones only, also where the image grows. `part` lies inside and is not
// empty.
void average_pixels(const ImageView& rgb, const PixelRect& part, int width_px, int height_px, float* values);

// How many proposal windows fit along a side of a level, or of a tile of one. The last may reach one pixel
// beyond the border.
int num_proposal_cells(int size_px);

// The window of a proposal network's cell on a level.
FaceWindow proposal_window(const PyramidLevel& level, int column, int row, float score);

// Indices of the windows that stay, best score first: each one removes those that it overlaps by more than
// `most_overlap`. Of equal scores the first goes before, with kSmaller the last.
std::vector<std::size_t> suppress_overlaps(const std::vector<FaceWindow>& windows, float most_overlap,
                                           OverlapMode mode);

// Whether the last pixel counts into a window's size when offsets are applied: not after the first network.
enum class WindowSize { kWithoutLastPixel, kWithLastPixel };

// The window moved by a network's offsets: left, top, right, bottom as shares of its sides.
FaceWindow regress_window(const FaceWindow& window, const std::array<float, 4>& offsets, WindowSize size);

// The square of the longer side around the window's centre.
FaceWindow square_window(const FaceWindow& window);

// What of the window lies on the photo; nothing if none of it does.
std::optional<PixelRect> window_pixels(const FaceWindow& window, int photo_width_px, int photo_height_px);

// The window in the photo's coordinates (docs/conventions.md).
Box window_box(const FaceWindow& window);

// The main face: of those that lie on the person's mask [height, width] with half of their visible box or
// more, the index of that with the greatest area · score; nothing if there is none.
std::optional<std::size_t> main_face(const std::vector<Face>& faces, const ImageView& mask);

}  // namespace jiff
