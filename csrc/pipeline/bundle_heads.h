// The implicit functions of a bundle, read from its manifest and its packed weights.
#pragma once

#include <map>
#include <string>

#include "core/tensor.h"
#include "ops/implicit_query.h"
#include "pipeline/bundle.h"
#include "pipeline/manifest.h"

namespace jiff {

// The sections "heads" and "fine_color.head" and "face.….head". All throw Error(kBundle).
class HeadReader {
  public:
    explicit HeadReader(const BundleFiles& files) : files_(files) {}

    std::map<std::string, HeadSpec> heads(const ManifestNode& node,
                                          const std::map<std::string, GraphSpec>& graphs);

    // A head whose raw input is `num_map_channels`, `num_point_features` and the depth.
    HeadConfig head(const ManifestNode& node, std::int64_t num_map_channels, std::int64_t num_point_features);

    // A joint head whose branch for the picture takes the same, and the other one `num_volume_channels`.
    JointHeadConfig joint_head(const ManifestNode& node, std::int64_t num_map_channels,
                               std::int64_t num_point_features, std::int64_t num_volume_channels);

    // The maps that `node` ("features") names, and in `num_channels` how many channels they have together.
    static std::vector<std::string> features(const ManifestNode& node,
                                             const std::map<std::string, GraphSpec>& graphs,
                                             std::int64_t& num_channels);

  private:
    const std::map<std::string, Tensor>& tensors_of(const std::string& path);
    std::vector<HeadLayer> layers(const ManifestNode& node, const std::string& prefix, const Shape& widths,
                                  std::int64_t num_raw, bool starts_from_raw);

    const BundleFiles& files_;
    std::map<std::string, std::map<std::string, Tensor>> opened_;  // by path: heads share a file
};

// Throws Error(kBundle) unless the last of `widths` fits what the head answers: three colours, or four
// numbers where "blends_image" is true.
void require_color_outputs(const ManifestNode& head, const char* widths);

}  // namespace jiff
