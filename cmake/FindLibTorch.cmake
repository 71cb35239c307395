# LibTorch, from a release archive or from the torch wheel, with or without CUDA; its own package insists on
# the CUDA toolkit where it was built with CUDA.
#
#     JIFF_TORCH_ROOT     where include/ and lib/ lie: site-packages/torch of the wheel
#     torch::runtime      what to link
find_path(LibTorch_INCLUDE_DIR torch/csrc/jit/api/module.h HINTS "${JIFF_TORCH_ROOT}/include")
foreach(part torch torch_cpu c10)
  find_library(LibTorch_${part}_LIBRARY ${part} HINTS "${JIFF_TORCH_ROOT}/lib")
  list(APPEND LibTorch_variables LibTorch_${part}_LIBRARY)
endforeach()
mark_as_advanced(LibTorch_INCLUDE_DIR ${LibTorch_variables})

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_torch_cpu_LIBRARY LibTorch_INCLUDE_DIR
  ${LibTorch_variables} REASON_FAILURE_MESSAGE "set JIFF_TORCH_ROOT to the directory of LibTorch")

if(LibTorch_FOUND AND NOT TARGET torch::runtime)
  add_library(torch::runtime INTERFACE IMPORTED)
  target_include_directories(torch::runtime INTERFACE
    "${LibTorch_INCLUDE_DIR}" "${LibTorch_INCLUDE_DIR}/torch/csrc/api/include")
  # Nobody calls libtorch, which brings the part for GPUs where there is one.
  target_link_libraries(torch::runtime INTERFACE
    "-Wl,--push-state,--no-as-needed" "${LibTorch_torch_LIBRARY}" "-Wl,--pop-state"
    "${LibTorch_torch_cpu_LIBRARY}" "${LibTorch_c10_LIBRARY}")
endif()
