# Turns text files into a C++ source with one std::string_view per file:
#   cmake -DOUTPUT=page_assets.cpp -DFILES="page.html;page.css" -P embed.cmake
# Bytes as numbers, not string literals: compilers limit the length of a literal, and no byte of a file
# can end an array early.
set(code "// Made by embed.cmake; edit the files it names instead.\n#include \"page_assets.h\"\n\nnamespace attend::report {\nnamespace {\n")
set(definitions "")
foreach(file IN LISTS FILES)
  get_filename_component(name "${file}" NAME)
  string(MAKE_C_IDENTIFIER "${name}" symbol)
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND code "constexpr char ${symbol}_bytes[] = {${bytes}};\n")
  string(APPEND definitions
    "const std::string_view ${symbol}(${symbol}_bytes, sizeof ${symbol}_bytes);\n")
endforeach()
string(APPEND code "}  // namespace\n${definitions}}  // namespace attend::report\n")
file(WRITE "${OUTPUT}" "${code}")
