--- What `lota demo` says of a run of scripts/lota.lua, from the records in its folder.

local lota = require "lota"
local report = require "lota.report"

--- A fraction as whole percents.
local function percent(fraction)
  return ("%.0f %%"):format(100 * fraction)
end

--- Sentences that say what the table says, and no more: what each arm kept of task A, how LoTTO compares with the others,
--- and what a ticket costs.
function demo_says(folder)
  local results = report.where(lota.data.read(folder .. "/metrics.jsonl"), { kind = "result" })
  local function mean(arm, field)
    return (report.mean_sd(report.column(report.where(results, { arm = arm }), field)))
  end
  local lotto, overlap, full = mean("lotto", "a_after_b"), mean("overlap", "a_after_b"), mean("full", "a_after_b")
  local lines = {
    ("After task B, LoTTO gets %s of task A right, LoTA on both tasks %s, and full fine-tuning %s"):format(
      percent(lotto),
      percent(overlap),
      percent(full)
    ) .. (" (before task B: %s, %s and %s)."):format(
      percent(mean("lotto", "a_after_a")),
      percent(mean("overlap", "a_after_a")),
      percent(mean("full", "a_after_a"))
    ),
  }
  if lotto > full then
    lines[2] = "LoTTO kept more of task A than full fine-tuning did."
  elseif lotto == full then
    lines[2] = "LoTTO kept as much of task A as full fine-tuning did."
  else
    lines[2] = "LoTTO kept less of task A than full fine-tuning did."
  end
  if overlap > lotto then
    lines[2] = lines[2] .. " Masks that may overlap kept more: in this run, keeping them apart did not help."
  elseif overlap == lotto then
    lines[2] = lines[2] .. " Masks that may overlap kept as much: in this run, keeping them apart made no difference."
  end
  lines[3] = "This is one seed and 64 test rows: `lota run lota:lota` runs three seeds with more steps."
  lines[4] = ("A ticket is a file of %.0f kB beside the model's %.0f kB in f32, and %s of the attention and MLP entries"):format(
    mean("lotto", "bytes_a") / 1000,
    4 * lota.model.builtin():entries() / 1000,
    percent(mean("lotto", "capacity"))
  ) .. "\nare in no mask, free for more tasks."
  return table.concat(lines, "\n")
end
