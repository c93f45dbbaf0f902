-- The ledger: how much all shards take together of what is limited. It is the sum over the shards, kept in the same call.
--
-- A line is a name of it; see ledger.py. Keys below `prefix`:
--   ledger          hash  line -> the sum; a line that is missing is 0
--   limits          hash  line -> how much it may be
--   waiting:<line>  zset  shard id -> ms since when it waits for room; the first one gets it first
-- Fields of a shard: `booked` {line: amount}, `waits_for` a line, `woken` whether it may find room since it last asked.

local function open_ledger(prefix, due, now)
  local ledger, sums, limits = {}, prefix .. 'ledger', prefix .. 'limits'

  local function item_key(id) return prefix .. 'item:' .. id end

  -- {line: amount} of a JSON text; a field that holds nonsense stops no step
  local function amounts(json)
    local is_read, found = pcall(cjson.decode, json or '{}')
    return is_read and type(found) == 'table' and found or {}
  end

  -- cjson writes a number of more than 14 digits as 1e+14
  local function encoded(booked)
    local pairs_of = {}
    for line, amount in pairs(booked) do
      pairs_of[#pairs_of + 1] = cjson.encode(line) .. ':' .. string.format('%.0f', amount)
    end
    return '{' .. table.concat(pairs_of, ',') .. '}'
  end

  -- What was spent stays spent when its shard is gone
  local function adds_up(line) return line:find('^spent:') or line:find('^seen:') end

  -- The first one in the line looks again. A worker that has it sees at its commit that there may be room
  local function wake(line)
    local id = redis.call('ZRANGE', prefix .. 'waiting:' .. line, 0, 0)[1]
    if not id then return end
    if (redis.call('HGET', item_key(id), 'claimed_by') or 'null') ~= 'null' then
      redis.call('HSET', item_key(id), 'woken', 'true')
    else
      redis.call('ZADD', due, 'XX', now, id)
    end
  end

  -- What a shard takes from here on, before it is written
  function ledger.book(key, json)
    local old, new, changes = amounts(redis.call('HGET', key, 'booked')), amounts(json), {}
    for line, amount in pairs(old) do changes[line] = -amount end
    for line, amount in pairs(new) do changes[line] = (changes[line] or 0) + amount end
    for line, change in pairs(changes) do
      if change ~= 0 and redis.call('HINCRBY', sums, line, string.format('%.0f', change)) == 0 then
        redis.call('HDEL', sums, line)
      end
      if change < 0 then wake(line) end
    end
  end

  -- A shard that has ended, or goes, takes no room any more; one that will be made again has spent nothing either
  function ledger.release(key, is_made_again)
    local before, kept = redis.call('HGET', key, 'booked'), {}
    if not before or before == '{}' then return end
    for line, amount in pairs(amounts(before)) do
      if adds_up(line) and not is_made_again then kept[line] = amount end
    end
    ledger.book(key, encoded(kept))
    redis.call('HSET', key, 'booked', encoded(kept))
  end

  -- A shard waits no more; the next one in its line may find room
  function ledger.leave(key, id)
    local line = redis.call('HGET', key, 'waits_for')
    if not line or line == 'null' then return end
    redis.call('HDEL', key, 'waits_for', 'woken')
    redis.call('ZREM', prefix .. 'waiting:' .. cjson.decode(line), id)
    wake(cjson.decode(line))
  end

  -- A shard waits in this line, behind those that came before
  function ledger.wait(key, id, line)
    local word = cjson.encode(line)
    if redis.call('HGET', key, 'waits_for') ~= word then
      ledger.leave(key, id)
      redis.call('ZADD', prefix .. 'waiting:' .. line, now, id)
      redis.call('HSET', key, 'waits_for', word)
    end
    redis.call('HDEL', key, 'woken')
  end

  function ledger.is_woken(key) return redis.call('HGET', key, 'woken') == 'true' end

  -- Whether no other shard was there before; what workers no longer look at (the quarantine) holds up none
  local function is_first(line, id)
    while true do
      local first = redis.call('ZRANGE', prefix .. 'waiting:' .. line, 0, 0)[1]
      if not first or first == id then return true end
      if redis.call('ZSCORE', due, first) then return false end
      redis.call('ZREM', prefix .. 'waiting:' .. line, first)
    end
  end

  -- The first line, by name, that has no room for what a shard would take; nil: all have
  function ledger.short_of(key, id, json, given)
    local held, wanted, lines = amounts(redis.call('HGET', key, 'booked')), amounts(json), {}
    for line in pairs(wanted) do lines[#lines + 1] = line end
    table.sort(lines)
    for _, line in ipairs(lines) do
      local more = wanted[line] - (held[line] or 0)
      local limit = tonumber(redis.call('HGET', limits, line) or given[line])
      local used = tonumber(redis.call('HGET', sums, line) or 0)
      if limit and more > 0 and (used + more > limit or not is_first(line, id)) then return line end
    end
  end

  -- A limit, or '' for none
  function ledger.set_limit(line, limit)
    if limit == '' then redis.call('HDEL', limits, line) else redis.call('HSET', limits, line, limit) end
    wake(line)
  end

  -- The lines of a batch alone go with it
  function ledger.forget_batch(id)
    for _, of in ipairs({'spent:batch=', 'jobs:batch='}) do
      redis.call('HDEL', sums, of .. id)
      redis.call('HDEL', limits, of .. id)
    end
  end

  return ledger
end

