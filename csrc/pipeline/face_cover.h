// Whether something covers a face: cloth seldom has the colour of skin.
#pragma once

#include <array>
#include <vector>

#include "pipeline/face_model.h"
#include "pipeline/triangle_mesh.h"
#include "preprocess/image_warp.h"

namespace jiff {

// Whether nose, cheeks and mouth of a fitted face are another colour in the photo than skin in the fitted
// light. Hair and shadow are darker than skin, and about as red against blue; masks and scarves are bluer. A
// photo without colours, and skin-coloured cloth, cannot be told. `pixels` are the places of the model's
// vertices in the photo, `normals` and `colors` theirs in the world and as fitted.
bool is_covered(const ImageView& rgb, const FaceModel& model,
                const std::vector<std::array<double, 2>>& pixels,
                const std::vector<std::array<double, 3>>& normals,
                const std::vector<std::array<float, 3>>& colors);

}  // namespace jiff
