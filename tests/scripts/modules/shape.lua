return {
  area = function(a, b)
    return a * b
  end,
}
