# Kernels compiled once for each instruction set; csrc/core/cpu_features.h chooses among them when the
# program runs. Only the files named *_LEVEL.cpp may use the instructions of a level.
#   JIFF_AMX  ON        AMX tiles, on processors that have them
#             EMULATED  the same source with the tiles in plain C++, by tests/amx_emulation: for tests, slow;
#                       taken where the environment variable JIFF_EMULATED_AMX is set
set(JIFF_AMX ON CACHE STRING "Kernels of AMX tiles: ON or EMULATED")
set_property(CACHE JIFF_AMX PROPERTY STRINGS ON EMULATED)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_definitions(jiff_core PRIVATE JIFF_HAVE_X86_KERNELS)
  set(level_flags_avx2 "-mavx2 -mfma -ffp-contract=fast")
  set(level_flags_avx512 "-mavx512f -mavx512vl -mavx512dq -mavx512bw -mavx2 -mfma -mprefer-vector-width=512 -ffp-contract=fast")
  set(level_flags_avx512_vnni "${level_flags_avx512} -mavx512vnni")
  set(level_flags_avx512_bf16 "${level_flags_avx512_vnni} -mavx512bf16")
  if(JIFF_AMX STREQUAL "EMULATED")
    target_compile_definitions(jiff_core PRIVATE JIFF_HAVE_AMX JIFF_AMX_EMULATED)
    set(level_flags_amx_bf16 "${level_flags_avx512_bf16} -include ${PROJECT_SOURCE_DIR}/tests/amx_emulation/tiles.h")
  elseif(JIFF_AMX STREQUAL "ON")
    # GCC 11 and later, Clang 12 and later.
    include(CheckCXXCompilerFlag)
    check_cxx_compiler_flag("-mamx-tile -mamx-bf16 -mamx-int8" jiff_compiler_has_amx)
    if(jiff_compiler_has_amx)
      target_compile_definitions(jiff_core PRIVATE JIFF_HAVE_AMX)
      set(level_flags_amx_bf16 "${level_flags_avx512_bf16} -mamx-tile -mamx-bf16 -mamx-int8")
    endif()
  else()
    message(FATAL_ERROR "JIFF_AMX must be ON or EMULATED, got ${JIFF_AMX}")
  endif()
  foreach(level avx2 avx512 avx512_vnni avx512_bf16 amx_bf16)
    set(level_sources ${core_sources})
    list(FILTER level_sources INCLUDE REGEX "_${level}\\.cpp$")
    if(level_sources)
      set_source_files_properties(${level_sources} PROPERTIES COMPILE_FLAGS "${level_flags_${level}}")
    endif()
  endforeach()
endif()
