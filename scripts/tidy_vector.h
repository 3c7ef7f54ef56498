// For clang-tidy alone: with constexpr vectors (C++20) clang instantiates every std::vector<IValue>
// of LibTorch 1.13's headers where IValue is still incomplete, and gives up. Vectors that are not
// constexpr are instantiated when they are used.
#include <string>

#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR
#define __fill_a1 __fill_a1_of_bits  // declared constexpr by <string>
#include <vector>
#undef __fill_a1
#undef _GLIBCXX20_CONSTEXPR
#define _GLIBCXX20_CONSTEXPR constexpr
