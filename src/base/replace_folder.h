// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace attend::internal {

enum class Exchange { kTry, kNever };

/// Puts the folder `fresh` in the place of `path`, which may exist, and removes the old one. Throws
/// std::filesystem::filesystem_error with `path` as it was. kNever takes the way of file systems
/// that cannot exchange two names in one step, which tests want to see as well.
void replace_folder(const std::filesystem::path& fresh, const std::filesystem::path& path,
                    Exchange exchange = Exchange::kTry);

}  // namespace attend::internal
