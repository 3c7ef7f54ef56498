// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "attend/base/error.h"
#include "attend/tasks/config.h"
#include "attend/tasks/task.h"
#include "generate.h"
#include "text_class.h"
#include "translate.h"

namespace attend {

// A new task adds its line here and nowhere else.
std::unique_ptr<Task> make_task(const std::string& name) {
  if (name == "text-class") return std::make_unique<TextClassTask>();
  if (name == "generate") return std::make_unique<GenerateTask>();
  if (name == "translate") return std::make_unique<TranslateTask>();
  std::string list;
  for (const auto& known : task_names()) list += (list.empty() ? "" : ", ") + known;
  const std::string near = nearest_name(name, task_names());
  throw usage_error("unknown task \"" + name + "\"; " +
                    (near.empty() ? "known: " + list : "did you mean \"" + near + "\"?"));
}

std::vector<std::string> task_names() { return {"text-class", "generate", "translate"}; }

}  // namespace attend
