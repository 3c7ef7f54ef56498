// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
#include "subject.h"

#include "attend/base/error.h"

namespace attend {

Subject make_subject(Task& task, const Dataset& data, int64_t row, const std::string& units,
                     const std::string& target) {
  torch::NoGradGuard no_grad;
  Subject subject{task, data, row, task.units(data, row), {}, {}, {}};
  if (units == "word" && task.unit_kind() != "word") {
    subject.groups = word_groups(data.input(row), subject.units);
  } else if (units.empty() || units == task.unit_kind()) {
    subject.groups = single_groups(static_cast<int64_t>(subject.units.size()));
  } else {
    throw usage_error("--units " + units + ": this model's units are of kind \"" +
                      task.unit_kind() + "\"; they can be merged into \"word\", not split");
  }
  const std::vector<int64_t> rows = {row};
  subject.output = task.forward(task.collate(data, rows), TraceRequest::all_weights());
  subject.target = task.find_target(data, row, subject.output, target);
  return subject;
}

Attribution Subject::attribute(const std::string& method, ExplainOptions options) const {
  options.seed += static_cast<uint64_t>(row) * 0x9e3779b97f4a7c15ULL;
  return attend::attribute(method, {task, data, row, target, groups, options, output});
}

}  // namespace attend
