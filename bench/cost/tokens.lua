-- Presents so many client tokens in turn: wrk -s tokens.lua URL -- COUNT FIRST. Their text is that of tokenText().
local count, next_one = 1, 0

function init(args)
  count, next_one = tonumber(args[1]), tonumber(args[2])
end

function request()
  next_one = (next_one + 1) % count
  wrk.headers["authorization"] = string.format("Bearer rmm_%064x", next_one)
  return wrk.format()
end
