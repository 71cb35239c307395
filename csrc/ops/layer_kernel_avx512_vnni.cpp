// AVX-512 with a product of four whole numbers of eight bits: four multiply-adds a lane, at the rate of one
// in float32.
#if defined(JIFF_HAVE_X86_KERNELS)
#include "ops/layer_kernel_vnni.inl"

namespace jiff {

const LayerKernel kAvx512VnniLayerKernel = vnni_kernel();

}  // namespace jiff

#endif
