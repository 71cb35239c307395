// 16 registers of 8 floats: 12 sums, 3 inputs, 1 weight.
#if defined(JIFF_HAVE_X86_KERNELS)
#include "ops/layer_kernel.inl"

namespace jiff {

const LayerKernel kAvx2LayerKernel = VectorKernel<8, 3, 4>::table();

}  // namespace jiff

#endif
