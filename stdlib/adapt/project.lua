--- Projections of one gradient by another, for methods that keep tasks from hurting each other.

local project = {}

--- `g` without what it has against `other`: g - <g, other> / <other, other> · other where their product is below 0, else
-- `g` as it is (A-GEM, arXiv 1812.00420; PCGrad, arXiv 2001.06782). Also returns whether there was a conflict.
function project.away(g, other)
  local dot = g:dot(other)
  if dot >= 0 then
    return g, false
  end
  return g - other * (dot / other:dot(other)), true
end

return project
