// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "subject.h"

#include <algorithm>

#include "attend/base/error.h"

namespace attend {

Subject make_subject(Task& task, const Dataset& data, int64_t row, const std::string& units,
                     const std::string& target) {
  Subject subject{task, data, row, task.units(data, row), {}, {}, {}};
  if (units == "word" && task.unit_kind() != "word") {
    subject.groups = word_groups(data.input(row), subject.units);
  } else if (units.empty() || units == task.unit_kind()) {
    subject.groups = single_groups(static_cast<int64_t>(subject.units.size()));
  } else {
    throw usage_error("--units " + units + ": this model's units are of kind \"" +
                      task.unit_kind() + "\"; they can be merged into \"word\", not split");
  }
  subject.passes = std::make_shared<Passes>(task, data, row, ExplainOptions().max_map_units);
  subject.target = task.find_target(data, row, subject.passes->output(), target);
  return subject;
}

Attribution Subject::attribute(const std::string& method, ExplainOptions options) const {
  options.seed += static_cast<uint64_t>(row) * 0x9e3779b97f4a7c15ULL;
  return attend::attribute(method,
                           {task, data, row, target, groups, options, passes->output(), passes});
}

std::vector<std::string> methods_for(Task& task, const Dataset& data,
                                     const std::vector<int64_t>& rows,
                                     const std::vector<std::string>& asked, std::string& left_out) {
  std::vector<std::string> methods;
  const auto add = [&](const std::string& name) {
    if (std::find(methods.begin(), methods.end(), name) == methods.end()) methods.push_back(name);
  };
  for (const std::string& name : asked) {
    if (name != "all" || rows.empty()) {
      if (name != "all") add(name);
      continue;
    }
    const int64_t longest = *std::max_element(rows.begin(), rows.end(), [&](int64_t a, int64_t b) {
      return data.length(a) < data.length(b);
    });
    const Subject subject = make_subject(task, data, longest, "");
    const ExplainOptions options;
    const MethodInput input{task,
                            data,
                            longest,
                            subject.target,
                            subject.groups,
                            options,
                            subject.passes->output(),
                            subject.passes};
    for (const std::string& method : explanation_methods()) {
      if (method_work(method, input) <= static_cast<double>(options.max_positions)) {
        add(method);
      } else {
        left_out += (left_out.empty() ? "" : ", ") + method;
      }
    }
  }
  add("random");
  return methods;
}

}  // namespace attend
