// Functions that the CPU and the GPU share: ordinary inline functions where no CUDA compiler reads them.
#pragma once

#if defined(__CUDACC__)
#define JIFF_HOST_DEVICE __host__ __device__
#else
#define JIFF_HOST_DEVICE
#endif
