// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "subword_engine.h"

#include <dlfcn.h>

#include "attend/base/error.h"

namespace attend::internal {
namespace {

using Maker = SubwordEngine* (*)();

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kMode = RTLD_NOW | RTLD_LOCAL;  // sanitizers cannot work with RTLD_DEEPBIND
#else
constexpr int kMode = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#endif

Maker open_module() {
  std::string why;
  // By name first (the program's run path, then the system's), then where it was built or
  // installed.
  for (const char* path :
       {"libattend-subword.so", ATTEND_SUBWORD_BUILT, ATTEND_SUBWORD_INSTALLED}) {
    void* module = dlopen(path, kMode);
    if (module == nullptr) {
      why = dlerror();
      continue;
    }
    void* symbol = dlsym(module, "attend_make_subword_engine");
    if (symbol != nullptr) return reinterpret_cast<Maker>(symbol);
    why = std::string(path) + " is of another version";
  }
  throw model_error("subwords need the module libattend-subword.so, which cannot be opened (" +
                    why + "); install attend again, or use text.units \"mixed\"");
}

}  // namespace

std::unique_ptr<SubwordEngine> make_subword_engine() {
  static const Maker maker = open_module();
  return std::unique_ptr<SubwordEngine>(maker());
}

}  // namespace attend::internal
