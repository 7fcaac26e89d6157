--- |w_now - w_before|: how far training moved each entry. The score of LoTA (arXiv 2406.16797, section 3).
--
-- One step of RMSprop or Adam moves every entry by nearly the same amount, so after a single step this says little;
-- rank by scores.gradient there.

return function(model, before)
  return model:delta(before):abs()
end
