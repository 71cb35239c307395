// The upright square that the face regressor sees, from five landmarks (docs/conventions.md, "Face").
#pragma once

#include <array>

#include "core/tensor.h"
#include "preprocess/image_warp.h"

namespace jiff {

// Left eye, right eye, nose tip, left and right mouth corner, as pictured; (x, y) in pixels of the photo.
using FaceLandmarks = std::array<std::array<double, 2>, 5>;

// The same points of the mean face: metres, y up, z toward the camera.
using LandmarkTemplate = std::array<std::array<double, 3>, 5>;

// The crop of a face: centred on the landmarks' mean, as large as `side_m` is on the mean face. Its scale is
// that of the linear map from template to photo, in least squares, that explains the landmarks; so it does
// not shrink when a face turns. Throws Error(kInvalidArgument) when landmarks are not finite or all in one
// place, or when the template is flat.
Box face_crop_box(const FaceLandmarks& landmarks_px, const LandmarkTemplate& mean_face, double side_m);

// What the regressor takes, [1, 3, size_px, size_px] in [-1, 1]; -1 beyond the photo.
Tensor face_crop(const ImageView& rgb, const Box& box, int size_px);

}  // namespace jiff
