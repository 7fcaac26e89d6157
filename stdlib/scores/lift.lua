--- |W_r|: the magnitude of each entry of the best approximation of rank r, W_r = U_r S_r V_rᵀ. The largest are the
-- principal weights of LIFT (arXiv 2506.00772, section 3), which fine-tunes those alone.
--
-- What differs: LIFT chooses again every few hundred steps; here the choice is one. Only matrices have a rank, so
-- parameters of one dimension have no scores. The decomposition takes min(rows, columns)² · max(rows, columns)
-- operations a matrix.

local lota = require "lota"
local adaptable = require "lota.scores.adaptable"

local defaults = { rank = { 8, "of the approximation; a matrix of a lower rank is scored as it is", least = 1 } }

return function(model, given)
  local scored, o = adaptable(model, given, "scores.lift", defaults)
  return lota.values.new(model, function(name, weight)
    if not scored[name] or weight:rank() ~= 2 then
      return nil
    end
    local u, s, vt = table.unpack(weight:to("f32"):svd())
    local r = math.min(o.rank, s:len())
    return (u:narrow(2, 1, { len = r }) * s:narrow(1, 1, { len = r })):matmul(vt:narrow(1, 1, { len = r })):abs()
  end)
end
