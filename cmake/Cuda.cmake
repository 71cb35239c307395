# The kernels for NVIDIA GPUs: csrc/**/*.cu and what needs them, csrc/pipeline/*_cuda.cpp.
#
# JIFF_CUDA   OFF       without: the default, since compiling for every GPU takes many minutes
#             AUTO      where a CUDA compiler is found; quietly without where none is
#             ON        an error where none is found
#             EMULATED  the same sources for the processor, by tests/cuda_emulation: for tests, slow
#
# Without CUDA a build has the same sources and needs the same packages as ever.
set(JIFF_CUDA OFF CACHE STRING "Kernels for NVIDIA GPUs: AUTO, ON, OFF or EMULATED")
set_property(CACHE JIFF_CUDA PROPERTY STRINGS AUTO ON OFF EMULATED)
set(JIFF_CUDA_ARCHITECTURES "75;80;86;89;90" CACHE STRING "Compute capabilities that kernels are compiled for")

set(jiff_has_cuda OFF)
if(JIFF_CUDA STREQUAL "AUTO" OR JIFF_CUDA STREQUAL "ON")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_ARCHITECTURES "${JIFF_CUDA_ARCHITECTURES}")
    set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
    enable_language(CUDA)
    if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 11.8)
      message(FATAL_ERROR "CUDA ${CMAKE_CUDA_COMPILER_VERSION} is too old, 11.8 is needed; update it or set JIFF_CUDA=OFF")
    endif()
    # jiff_core was made before the language was enabled and takes no defaults.
    set_target_properties(jiff_core PROPERTIES CUDA_ARCHITECTURES "${JIFF_CUDA_ARCHITECTURES}" CUDA_STANDARD 17
      CUDA_STANDARD_REQUIRED ON CUDA_RUNTIME_LIBRARY Static)
    set(jiff_has_cuda ON)
  elseif(JIFF_CUDA STREQUAL "ON")
    message(FATAL_ERROR "JIFF_CUDA is ON and there is no CUDA compiler; install the CUDA toolkit (nvcc), name it "
      "by CMAKE_CUDA_COMPILER, or set JIFF_CUDA=OFF")
  endif()
elseif(JIFF_CUDA STREQUAL "EMULATED")
  set(jiff_has_cuda ON)
elseif(NOT JIFF_CUDA STREQUAL "OFF")
  message(FATAL_ERROR "JIFF_CUDA must be AUTO, ON, OFF or EMULATED, got ${JIFF_CUDA}")
endif()

file(GLOB cuda_only_sources CONFIGURE_DEPENDS csrc/*/*_cuda.cpp)
if(jiff_has_cuda)
  file(GLOB cuda_sources CONFIGURE_DEPENDS csrc/*/*.cu)
  if(NOT JIFF_CUDA STREQUAL "EMULATED")
    # Of compute capability 9.0a alone, below.
    set(warpgroup_source "${PROJECT_SOURCE_DIR}/csrc/ops/warpgroup_query.cu")
    list(REMOVE_ITEM cuda_sources "${warpgroup_source}")
  endif()
  target_sources(jiff_core PRIVATE ${cuda_sources})
  target_compile_definitions(jiff_core PUBLIC JIFF_HAVE_CUDA)
else()
  get_target_property(sources jiff_core SOURCES)
  list(REMOVE_ITEM sources ${cuda_only_sources})
  set_target_properties(jiff_core PROPERTIES SOURCES "${sources}")
endif()

if(jiff_has_cuda AND JIFF_CUDA STREQUAL "EMULATED")
  message(STATUS "CUDA: emulated on the processor, for tests")
  set(emulation_dir "${PROJECT_SOURCE_DIR}/tests/cuda_emulation")
  target_sources(jiff_core PRIVATE "${emulation_dir}/block.cpp" "${emulation_dir}/runtime.cpp")
  set_source_files_properties(${cuda_sources} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS
    "-x;c++;-mfma;-mf16c;-Wno-unknown-pragmas")  # those that unroll loops
  target_include_directories(jiff_core PRIVATE "${emulation_dir}/include")
  target_compile_definitions(jiff_core PUBLIC JIFF_CUDA_EMULATED PRIVATE JIFF_HAVE_WARPGROUPS)
elseif(jiff_has_cuda)
  message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER_VERSION} for compute capabilities ${JIFF_CUDA_ARCHITECTURES}")
  if("90" IN_LIST JIFF_CUDA_ARCHITECTURES)
    add_library(jiff_warpgroups OBJECT "${warpgroup_source}")
    set_target_properties(jiff_warpgroups PROPERTIES CUDA_ARCHITECTURES 90a-real CUDA_STANDARD 17
      CUDA_STANDARD_REQUIRED ON)
    target_include_directories(jiff_warpgroups PRIVATE csrc)
    target_include_directories(jiff_warpgroups SYSTEM PRIVATE third_party)
    target_sources(jiff_core PRIVATE $<TARGET_OBJECTS:jiff_warpgroups>)
    target_compile_definitions(jiff_core PRIVATE JIFF_HAVE_WARPGROUPS)
    set(cuda_targets jiff_core jiff_warpgroups)
  else()
    set(cuda_targets jiff_core)
  endif()
  foreach(target ${cuda_targets})
    # Multiply-adds round as they are written, so that answers agree with the CPU's. The lines of code are for
    # profiles and the reports of compute-sanitizer.
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:--fmad=false;-lineinfo;-Xptxas=-v>"
      "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-fvisibility=hidden>")
  endforeach()
else()
  message(STATUS "CUDA: none")
endif()
