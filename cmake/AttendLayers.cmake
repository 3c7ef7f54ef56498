# How a folder of src/ becomes a library and a folder of tests/ becomes tests.
include(GNUInstallDirs)

add_library(attend-options INTERFACE)
target_compile_features(attend-options INTERFACE cxx_std_20)
# GCC 12 sees an overlap in every "text" + std::string (GCC bug 105651), hence no -Wrestrict.
target_compile_options(attend-options INTERFACE -Wall -Wextra -Wshadow
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<BOOL:${ATTEND_WERROR}>:-Werror>)
if(ATTEND_SANITIZE)
  target_compile_options(attend-options INTERFACE
    -fsanitize=${ATTEND_SANITIZE} -fno-omit-frame-pointer -g)
  target_link_options(attend-options INTERFACE -fsanitize=${ATTEND_SANITIZE})
endif()

# attend_add_layer(<name> SOURCES ... [DEPENDS ...] [PRIVATE_DEPENDS ...] [TORCH])
# makes the static library attend-<name> (alias attend::<name>) from src/<name>/.
# TORCH: links LibTorch and shares one precompiled attend/nn/torch.h among all such layers, because that
# header alone takes longer to compile than any file of ours.
function(attend_add_layer name)
  cmake_parse_arguments(LAYER "TORCH" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  set(target attend-${name})
  add_library(${target} STATIC ${LAYER_SOURCES})
  add_library(attend::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target}
    PUBLIC ${LAYER_DEPENDS}
    PRIVATE ${LAYER_PRIVATE_DEPENDS} $<BUILD_INTERFACE:attend-options>)
  if(LAYER_TORCH)
    target_link_libraries(${target} PUBLIC ${TORCH_LIBRARIES})
    attend_share_torch_header(${target})
  endif()
  set_property(GLOBAL APPEND PROPERTY ATTEND_LAYERS ${target})
endfunction()

# Programs compile with -fPIC here, not -fPIE, since a precompiled header fits one of them only.
function(attend_share_torch_header target)
  if(NOT TARGET attend-torch-header)
    set(holder ${PROJECT_BINARY_DIR}/torch_header.cpp)
    if(NOT EXISTS ${holder})
      file(WRITE ${holder} "// holds the precompiled attend/nn/torch.h\n")
    endif()
    add_library(attend-torch-header STATIC ${holder})
    target_include_directories(attend-torch-header PRIVATE ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(attend-torch-header PRIVATE ${TORCH_LIBRARIES} attend-options)
    target_precompile_headers(attend-torch-header PRIVATE
      ${PROJECT_SOURCE_DIR}/include/attend/nn/torch.h)
  endif()
  target_precompile_headers(${target} REUSE_FROM attend-torch-header)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()

# attend_add_test(<name> SOURCES ... DEPENDS ... [LABELS ...] [ISAS ...] [TORCH])
# makes the GoogleTest program <name> and registers it with CTest under that name, or as <name>.<isa>
# once per ISA, with ATTEND_ISA set to it.
function(attend_add_test name)
  cmake_parse_arguments(TEST "TORCH" "TIMEOUT" "SOURCES;DEPENDS;LABELS;ISAS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_DEPENDS} GTest::gtest_main attend-options)
  target_compile_definitions(${name} PRIVATE
    ATTEND_SOURCE_DIR="${PROJECT_SOURCE_DIR}" ATTEND_BINARY_DIR="${PROJECT_BINARY_DIR}")
  if(TEST_TORCH)
    attend_share_torch_header(${name})
  endif()
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 300)
  endif()
  foreach(isa IN LISTS TEST_ISAS)
    add_test(NAME ${name}.${isa} COMMAND ${name})
    set_tests_properties(${name}.${isa} PROPERTIES TIMEOUT ${TEST_TIMEOUT}
      LABELS "${TEST_LABELS}" ENVIRONMENT ATTEND_ISA=${isa}
      SKIP_REGULAR_EXPRESSION "SKIP: this processor lacks")
  endforeach()
  if(NOT TEST_ISAS)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT} LABELS "${TEST_LABELS}")
  endif()
endfunction()
