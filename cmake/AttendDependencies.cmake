# Every third-party library, in one place. cmake/attendConfig.cmake.in finds the same ones for users
# of the installed package.
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(ICU REQUIRED COMPONENTS uc i18n)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SentencePiece REQUIRED IMPORTED_TARGET sentencepiece)
find_package(Torch REQUIRED)
if(ATTEND_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
