-- Takes from, or gives back to, one window per key: the whole batch is one atomic step.
--
-- KEYS[i]    holds two doubles: requests counted, and when the window ends (ms since the epoch).
-- ARGV[1]    the time in ms, or '' for this server's own clock.
-- ARGV[2]    three doubles per key: the limit's count, its window in ms, and the end of the window
--            to give one back to (0: take one).
--
-- Returns the time in ms, then two numbers per key: what remains (-1: refused) and the end.
-- Doubles are big-endian; packed, they take half the time of text.

local now = tonumber(ARGV[1])
if not now then
  local clock = redis.call('TIME')
  now = clock[1] * 1000 + math.floor(clock[2] / 1000)
end

local answers, at = {now}, 1
for i, key in ipairs(KEYS) do
  local count, window, returned
  count, window, returned, at = struct.unpack('>ddd', ARGV[2], at)
  local used, ends = 0, now + window
  local before = redis.call('GET', key)
  local kept = nil
  if before and #before == 16 then
    local u, e = struct.unpack('>dd', before)
    if now < e and u >= 0 and u % 1 == 0 then
      -- Never longer than the limit's window, even when the clock has been set back.
      used, ends, kept = u, math.min(e, ends), e
    end
  end

  local remaining = -1
  if returned > 0 then
    if used > 0 and ends == returned then used = used - 1 end
  elseif used < count then
    used = used + 1
    remaining = count - used
  end

  local after = struct.pack('>dd', used, ends)
  if used == 0 then
    redis.call('DEL', key)
  elseif kept ~= ends then
    redis.call('SET', key, after, 'PXAT', string.format('%.0f', ends))
  elseif after ~= before then
    redis.call('SET', key, after, 'KEEPTTL')
  end
  answers[2 * i], answers[2 * i + 1] = remaining, ends
end
return answers
