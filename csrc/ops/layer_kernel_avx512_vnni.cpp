// AVX-512 with a product of four whole numbers of eight bits: four multiply-adds a lane, at the rate of one
// in float32.
#if defined(JIFF_HAVE_X86_KERNELS)
#include "ops/layer_kernel_vnni.inl"

namespace jiff {
namespace {

constexpr LayerKernel with_vnni() {
    LayerKernel kernel = VnniBase::table();
    kernel.multiply_int8 = VnniBase::multiply_int8<add_four_products>;
    return kernel;
}

}  // namespace

const LayerKernel kAvx512VnniLayerKernel = with_vnni();

}  // namespace jiff

#endif
