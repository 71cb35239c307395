// The graphs of a bundle, read from its manifest and held to the tensors that the pipeline feeds and takes.
#pragma once

#include <map>
#include <string>

#include "pipeline/bundle.h"
#include "pipeline/manifest.h"

namespace jiff {

// File and tensors of a graph's entry. Throws Error(kBundle).
GraphSpec read_graph(const ManifestNode& node, const BundleFiles& files);

// The section "graphs". Throws Error(kBundle).
std::map<std::string, GraphSpec> read_graphs(const ManifestNode& nodes, const BundleFiles& files,
                                             int image_size_px);

// The shape of tensor `name` among a graph's "inputs" or "outputs", which `node` is. Sides of -1 in
// `expected` stand for any length. Throws Error(kBundle) when it is missing or of another shape.
Shape require_tensor(const ManifestNode& node, const std::string& name, const Shape& expected);

// Throws Error(kBundle) unless the graph takes exactly `expected`.
void require_inputs(const ManifestNode& graph, const NamedShapes& expected);

}  // namespace jiff
