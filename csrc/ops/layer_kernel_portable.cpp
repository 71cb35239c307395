// 16 registers of 4 floats: 8 sums, 2 weights, 1 input, and room for the product.
#include "ops/layer_kernel.inl"

namespace jiff {

const LayerKernel kPortableLayerKernel = VectorKernel<4, 2, 4>::table();

}  // namespace jiff
