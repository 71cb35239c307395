// The sections of a bundle's manifest for faces and for the fine colour. All throw Error(kBundle).
#pragma once

#include "pipeline/bundle.h"
#include "pipeline/bundle_heads.h"
#include "pipeline/manifest.h"

namespace jiff {

FaceDetectionSpec read_face_detection(const ManifestNode& node, const BundleFiles& files);

// `bundle` has its heads already.
FineColorSpec read_fine_color(const ManifestNode& node, const BundleFiles& files, HeadReader& heads,
                              const Bundle& bundle);

// `bundle` has its graphs already, and the sections "face_detection" and "fine_color" if it has any.
FaceSpec read_face(const ManifestNode& node, const BundleFiles& files, HeadReader& heads,
                   const Bundle& bundle);

}  // namespace jiff
