// Heads over the maps and volumes of one photograph, as functions of points.
#pragma once

#include <vector>

#include "core/tensor.h"
#include "ops/implicit_query.h"
#include "ops/joint_query.h"
#include "pipeline/face_volume.h"
#include "pipeline/head_encoder.h"
#include "pipeline/point_function.h"

namespace jiff {

using FeatureMaps = std::vector<TensorView>;

// What `head` answers. `features` gives what it takes of each point beside maps and depth, if anything. Heads
// and what the maps show must outlive the result, as below.
PointFunction asked(const ImplicitQuery& head, const FeatureMaps& maps, PointFunction features = {});

// The same of a joint head, in a face's volume.
PointFunction asked(const JointQuery& head, const FeatureMaps& maps, const FaceVolume& face,
                    PointFunction features = {});

// A function of points of a head's frame, asked for points of the view.
PointFunction in_head(const HeadFrame& frame, PointFunction function);

// The activations of a head after its first `num_layers` layers.
PointFunction asked_activations(const ImplicitQuery& head, const FeatureMaps& maps, int num_layers);

}  // namespace jiff
