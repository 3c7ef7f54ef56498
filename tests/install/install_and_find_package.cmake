# Installs the build into an empty prefix, then configures, builds and runs examples/use_installed
# against that prefix alone.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "failed (${result}): ${command}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${SCRATCH_DIR})
set(prefix ${SCRATCH_DIR}/prefix)
set(flags "")
if(SANITIZE)
  # The installed libraries call the sanitizer's run-time library.
  set(flags "-fsanitize=${SANITIZE}")
endif()

run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${prefix})
run(${CMAKE_COMMAND} -S ${EXAMPLE_DIR} -B ${SCRATCH_DIR}/build -G ${GENERATOR}
  -D CMAKE_PREFIX_PATH=${prefix} -D CMAKE_CXX_COMPILER=${COMPILER}
  -D CMAKE_BUILD_TYPE=${BUILD_TYPE} -D CMAKE_CXX_FLAGS=${flags})
run(${CMAKE_COMMAND} --build ${SCRATCH_DIR}/build)
run(${SCRATCH_DIR}/build/show_weights)
if(NOT output MATCHES "sequence 1, head 1\n  [0-9.]+  [0-9.]+  [0-9.]+  0\\.000  0\\.000\n")
  message(FATAL_ERROR "the example printed something else:\n${output}")
endif()
if(NOT EXISTS ${prefix}/bin/attend)
  message(FATAL_ERROR "the program was not installed")
endif()
run(${prefix}/bin/attend --version)
message(STATUS "${output}")
