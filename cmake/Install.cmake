# What `cmake --install` puts where: libraries, headers, the CMake package and the pkg-config file. All
# paths in them are relative to where they lie, so that the tree may be moved.
include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/jiff")

install(DIRECTORY csrc/include/jiff DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(FILES "${PROJECT_BINARY_DIR}/include/jiff/version.h" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/jiff")
install(FILES LICENSE NOTICE DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/jiff")

# The static library needs the engines' packages where a program is linked, the shared one does not: each
# has its own file of targets.
foreach(kind shared static)
  string(TOUPPER ${kind} upper)
  if(JIFF_BUILD_${upper})
    if(kind STREQUAL "shared")
      install(TARGETS jiff EXPORT jiff-shared)
    else()
      install(TARGETS jiff_static EXPORT jiff-static)
    endif()
    install(EXPORT jiff-${kind} NAMESPACE jiff:: FILE jiff-${kind}-targets.cmake DESTINATION "${package_dir}")
  endif()
endforeach()

if(TARGET jiff_engine_torchscript)
  install(TARGETS jiff_engine_torchscript LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()

configure_package_config_file(cmake/jiffConfig.cmake.in "${PROJECT_BINARY_DIR}/jiffConfig.cmake"
  INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
else()
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file("${PROJECT_BINARY_DIR}/jiffConfigVersion.cmake"
  COMPATIBILITY ${compatibility})
install(FILES "${PROJECT_BINARY_DIR}/jiffConfig.cmake" "${PROJECT_BINARY_DIR}/jiffConfigVersion.cmake"
  DESTINATION "${package_dir}")

file(RELATIVE_PATH pc_to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/jiff.pc.in "${PROJECT_BINARY_DIR}/jiff.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/jiff.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
