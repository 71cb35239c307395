// 16 registers of 8 floats: 12 sums, 2 weights, 1 input.
#if defined(JIFF_HAVE_X86_KERNELS)
#include "ops/layer_kernel.inl"

namespace jiff {

const LayerKernel kAvx2LayerKernel = VectorKernel<8, 2, 6>::table();

}  // namespace jiff

#endif
