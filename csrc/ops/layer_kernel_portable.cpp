// 16 registers of 4 floats: 8 sums, 2 inputs, 1 weight, and room for the product.
#include "ops/layer_kernel.inl"

namespace jiff {

const LayerKernel kPortableLayerKernel = VectorKernel<4, 2, 4>::table();

}  // namespace jiff
