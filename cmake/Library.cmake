# libjiff: the C API (csrc/include/jiff/jiff.h) over the core, with the engines that are found.
#
#     jiff::jiff          the shared library, or the static one where only that is built
#     jiff::jiff_static   the static library
#
# and libjiff_engine_torchscript.so, which neither links: it is loaded when a program asks for that engine.

option(JIFF_BUILD_SHARED "Build libjiff as a shared library" ON)
option(JIFF_BUILD_STATIC "Build libjiff as a static library" ON)
set(JIFF_ENGINE_OPENVINO AUTO CACHE STRING "The engine OpenVINO: ON, OFF, or AUTO where it is found")
option(JIFF_ENGINE_ONNXRUNTIME "The engine ONNX Runtime, whose library is found when a program runs" ON)
set(JIFF_ONNXRUNTIME_LIBRARY "" CACHE FILEPATH
  "libonnxruntime.so to take where the dynamic linker finds none")
set(JIFF_ENGINE_TORCHSCRIPT AUTO CACHE STRING
  "The engine LibTorch for TorchScript, as a module: ON, OFF, or AUTO where it is found")
foreach(engine OPENVINO TORCHSCRIPT)
  set_property(CACHE JIFF_ENGINE_${engine} PROPERTY STRINGS AUTO ON OFF)
endforeach()
if(NOT JIFF_BUILD_SHARED AND NOT JIFF_BUILD_STATIC)
  message(FATAL_ERROR "JIFF_BUILD_SHARED and JIFF_BUILD_STATIC are both OFF; set one of them ON")
endif()

if(jiff_has_cuda AND JIFF_BUILD_STATIC)
  message(FATAL_ERROR "with CUDA there is the shared library alone; set JIFF_BUILD_STATIC=OFF or JIFF_CUDA=OFF")
endif()

include(GNUInstallDirs)

# ---- Engines: each is one source file, compiled where its vendor's package is found -----------------------
set(jiff_engines)
set(engine_sources csrc/engine/registry.cpp csrc/engine/module_engine.cpp csrc/engine/shared_library.cpp)
set(engine_definitions)
set(engine_libraries)
if(JIFF_ENGINE_OPENVINO)
  if(JIFF_ENGINE_OPENVINO STREQUAL "AUTO")
    find_package(OpenVINO QUIET COMPONENTS Runtime)
  else()
    find_package(OpenVINO REQUIRED COMPONENTS Runtime)
  endif()
  if(OpenVINO_FOUND)
    list(APPEND jiff_engines openvino)
    list(APPEND engine_sources csrc/engine/openvino.cpp)
    list(APPEND engine_definitions JIFF_HAVE_OPENVINO)
    list(APPEND engine_libraries openvino::runtime)
  endif()
endif()
if(JIFF_ENGINE_ONNXRUNTIME)
  list(APPEND jiff_engines onnxruntime)
  list(APPEND engine_sources csrc/engine/onnxruntime.cpp)
  list(APPEND engine_definitions JIFF_HAVE_ONNXRUNTIME)
  if(JIFF_ONNXRUNTIME_LIBRARY)
    list(APPEND engine_definitions JIFF_ONNXRUNTIME_LIBRARY="${JIFF_ONNXRUNTIME_LIBRARY}")
  endif()
endif()
if(JIFF_ENGINE_TORCHSCRIPT)
  list(APPEND CMAKE_MODULE_PATH "${PROJECT_SOURCE_DIR}/cmake")
  if(JIFF_ENGINE_TORCHSCRIPT STREQUAL "AUTO")
    find_package(LibTorch QUIET)
  else()
    find_package(LibTorch REQUIRED)
  endif()
  if(LibTorch_FOUND)
    list(APPEND jiff_engines torchscript)
    # Beside libjiff, where it looks for modules.
    add_library(jiff_engine_torchscript MODULE csrc/engine/torchscript.cpp)
    target_include_directories(jiff_engine_torchscript PRIVATE csrc/include)
    target_include_directories(jiff_engine_torchscript SYSTEM PRIVATE third_party)
    target_compile_options(jiff_engine_torchscript PRIVATE -Wall -Wextra)
    if(JIFF_CUDA STREQUAL "EMULATED")
      target_compile_definitions(jiff_engine_torchscript PRIVATE JIFF_CUDA_EMULATED)
    endif()
    target_link_libraries(jiff_engine_torchscript PRIVATE torch::runtime)
    set_target_properties(jiff_engine_torchscript PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  endif()
endif()
if(jiff_engines)
  message(STATUS "libjiff: engines: ${jiff_engines}")
else()
  message(STATUS "libjiff: no engine was found, so that it cannot reconstruct; for OpenVINO set OpenVINO_DIR")
endif()

# ---- The objects, compiled once for both libraries ------------------------------------------------------
configure_file(csrc/include/jiff/version.h.in "${PROJECT_BINARY_DIR}/include/jiff/version.h" @ONLY)
file(GLOB api_sources CONFIGURE_DEPENDS csrc/api/*.cpp)
add_library(jiff_objects OBJECT ${api_sources} ${engine_sources} ${writer_sources})
target_include_directories(jiff_objects PRIVATE csrc csrc/include "${PROJECT_BINARY_DIR}/include")
target_include_directories(jiff_objects SYSTEM PRIVATE third_party)
target_compile_definitions(jiff_objects PRIVATE JIFF_BUILDING ${engine_definitions}
  $<TARGET_PROPERTY:jiff_core,INTERFACE_COMPILE_DEFINITIONS>)
set_source_files_properties(csrc/io/mesh_files.cpp csrc/api/build_info.cpp
  PROPERTIES COMPILE_DEFINITIONS JIFF_VERSION="${PROJECT_VERSION}")
# For tests with the debug information that abidw reads the interface of the shared library from.
target_compile_options(jiff_objects PRIVATE
  -Wall -Wextra -ffp-contract=off $<$<AND:$<BOOL:${JIFF_BUILD_TESTS}>,$<BOOL:${JIFF_BUILD_SHARED}>>:-g>)
target_link_libraries(jiff_objects PRIVATE Threads::Threads ${engine_libraries} ${CMAKE_DL_LIBS})

# A name of the application's own never meets one of ours: only jiff_* is visible from outside. While the
# major version is 0 a minor one may break what was compiled before.
set(version_script "${PROJECT_SOURCE_DIR}/cmake/exported_symbols.map")
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(jiff_soversion "0.${PROJECT_VERSION_MINOR}")
else()
  set(jiff_soversion "${PROJECT_VERSION_MAJOR}")
endif()

function(jiff_configure_library target)
  target_include_directories(${target} INTERFACE
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/csrc/include>"
    "$<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>"
    "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_link_libraries(${target} PRIVATE Threads::Threads ${engine_libraries} ${CMAKE_DL_LIBS})
endfunction()

if(JIFF_BUILD_SHARED)
  add_library(jiff SHARED $<TARGET_OBJECTS:jiff_objects>)
  jiff_configure_library(jiff)
  target_link_libraries(jiff PRIVATE "$<BUILD_INTERFACE:jiff_core>")
  set_target_properties(jiff PROPERTIES
    VERSION "${PROJECT_VERSION}" SOVERSION "${jiff_soversion}"
    LINK_DEPENDS "${version_script}"
    # An engine that lies where the dynamic linker does not look is found again after installation.
    INSTALL_RPATH "$ORIGIN" INSTALL_RPATH_USE_LINK_PATH ON)
  # Threads of the core wait inside this library for work: it stays in memory also when a plug-in that
  # brought it is unloaded.
  target_link_options(jiff PRIVATE
    "LINKER:--version-script=${version_script}" "LINKER:-z,nodelete" "LINKER:--no-undefined")
  add_library(jiff::jiff ALIAS jiff)
endif()
if(JIFF_BUILD_STATIC)
  add_library(jiff_static STATIC $<TARGET_OBJECTS:jiff_objects> $<TARGET_OBJECTS:jiff_core>)
  jiff_configure_library(jiff_static)
  target_compile_definitions(jiff_static INTERFACE JIFF_STATIC)
  target_link_libraries(jiff_static INTERFACE stdc++ m)
  set_target_properties(jiff_static PROPERTIES OUTPUT_NAME jiff)
  add_library(jiff::jiff_static ALIAS jiff_static)
  if(NOT JIFF_BUILD_SHARED)
    add_library(jiff::jiff ALIAS jiff_static)
  endif()
endif()

if(JIFF_INSTALL)
  include(cmake/Install.cmake)
endif()
