# cmake --install: headers, one static library per layer (attend::<layer>), attend::attend for all of
# them, the program, and the files that find_package(attend) reads.
include(CMakePackageConfigHelpers)

get_property(attend_layers GLOBAL PROPERTY ATTEND_LAYERS)

# The program is already called attend, so the library for "everything" gets that name only outside.
add_library(attend-everything INTERFACE)
add_library(attend::attend ALIAS attend-everything)
set_target_properties(attend-everything PROPERTIES EXPORT_NAME attend)
target_link_libraries(attend-everything INTERFACE ${attend_layers})

set(attend_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/attend)
install(TARGETS ${attend_layers} attend-everything EXPORT attendTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT attendTargets NAMESPACE attend:: DESTINATION ${attend_package_dir})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/attend DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET attend)
  install(TARGETS attend-subword LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(TARGETS attend RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/attendConfig.cmake.in
  ${PROJECT_BINARY_DIR}/attendConfig.cmake INSTALL_DESTINATION ${attend_package_dir})
# 0.x: a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/attendConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/attendConfig.cmake ${PROJECT_BINARY_DIR}/attendConfigVersion.cmake
  DESTINATION ${attend_package_dir})
