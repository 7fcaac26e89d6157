--- What `lota demo` says of a run of scripts/lota.lua, from the records in its folder.

local lota = require "lota"
local report = require "lota.report"

--- Two sentences: who forgot, and what a ticket costs.
function demo_says(folder)
  local results = report.where(lota.data.read(folder .. "/metrics.jsonl"), { kind = "result" })
  local function mean(arm, field)
    return (report.mean_sd(report.column(report.where(results, { arm = arm }), field)))
  end
  local kept, lost = mean("lotto", "a_after_b"), mean("full", "a_after_b")
  local learned = mean("full", "a_after_a")
  local first
  if kept > lost then
    first = ("After task B, full fine-tuning gets %.0f %% of task A right (it had %.0f %%), and LoTTO still %.0f %%: its"):format(
      100 * lost,
      100 * learned,
      100 * kept
    ) .. " second ticket may not touch what the first one wrote."
  else
    first = ("After task B, LoTTO gets %.0f %% of task A right and full fine-tuning %.0f %%: so short a run shows no"):format(
      100 * kept,
      100 * lost
    ) .. " difference, more steps and seeds do (lota run lota:lota)."
  end
  local second = ("A ticket is a file of %.0f kB beside the model's %.0f kB in f32, and %.0f %% of the entries are still free"):format(
    mean("lotto", "bytes_a") / 1000,
    4 * lota.model.builtin():entries() / 1000,
    100 * mean("lotto", "capacity")
  ) .. " for more tasks."
  return first .. "\n" .. second
end
