# Kernels compiled once for each instruction set; csrc/core/cpu_features.h chooses among them when the
# program runs. Only the files named *_avx2.cpp and *_avx512.cpp may use those instructions.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_definitions(jiff_core PRIVATE JIFF_HAVE_X86_KERNELS)
  set(level_flags_avx2 "-mavx2 -mfma -ffp-contract=fast")
  set(level_flags_avx512 "-mavx512f -mavx512vl -mavx512dq -mavx512bw -mavx2 -mfma -mprefer-vector-width=512 -ffp-contract=fast")
  foreach(level avx2 avx512)
    set(level_sources ${core_sources})
    list(FILTER level_sources INCLUDE REGEX "_${level}\\.cpp$")
    if(level_sources)
      set_source_files_properties(${level_sources} PROPERTIES COMPILE_FLAGS "${level_flags_${level}}")
    endif()
  endforeach()
endif()
