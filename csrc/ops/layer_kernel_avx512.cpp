// 32 registers of 16 floats; 16 sums cover the latency of two multiply-add units.
#if defined(JIFF_HAVE_X86_KERNELS)
#include "ops/layer_kernel.inl"

namespace jiff {

const LayerKernel kAvx512LayerKernel = VectorKernel<16, 2, 8>::table();

}  // namespace jiff

#endif
