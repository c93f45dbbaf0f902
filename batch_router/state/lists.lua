-- The lists by which items are found without a walk through all of them. They are changed with the item, in the same call.
--
-- Keys below `own`, the prefix of this version:
--   batches:<provider>:<status>   zset   batch id -> ms of its creation; either may be empty: of all
--   ids                           zset   batch id -> 0: in the order of the ids
--   ended                         zset   batch id -> ms of its end
--   parked                        zset   shard id -> ms since when it waits for the operator
--   accounts                      zset   [provider, credential] -> ms when a batch was last created for it
--   labels                        hash   label -> shard id
--   in_flight:<account>:<model>   set    ids of shards with a job that waits or runs, or may do so
--   standing                      hash   <kind>:<provider>:<queue, if the items have one>:<state> -> how many items
-- The fields `listed`, `in_flight` and `counted` of an item say where it stands; a status is a word of `BatchStatus`.

local open_statuses = {['"queued"'] = 'queued', ['"running"'] = 'in_progress', ['"finishing"'] = 'in_progress'}
local longest_unused = 90 * 86400 * 1000 -- ms: as long as the ids of jobs are kept

local function unquoted(json) return (json or ''):match('^"(.*)"$') or '' end

local function account_name(json)
  local account = json and json ~= 'null' and cjson.decode(json)
  if not account then return nil end
  local credential = account.credential
  return account.service .. (credential and credential ~= cjson.null and '/' .. credential or '')
end

local function each_list(own, provider, status, call)
  for _, of in ipairs({'', provider}) do call(own .. 'batches:' .. of .. ':' .. status) end
end

-- Put a batch into the lists of its provider and of its status as they are now
local function list_batch(own, key, id, now)
  local f = redis.call('HMGET', key, 'provider', 'state', 'cancel', 'listed', 'created_at', 'credential')
  local is_open = open_statuses[f[2]]
  local status = is_open and f[3] == 'true' and 'cancelling' or is_open or unquoted(f[2])
  local listed, created_at = unquoted(f[4]), math.floor(tonumber(f[5]) * 1000)
  if status == listed then return end
  local function add(list) redis.call('ZADD', list, created_at, id) end
  if f[4] then
    each_list(own, unquoted(f[1]), listed, function(list) redis.call('ZREM', list, id) end)
  else
    each_list(own, unquoted(f[1]), '', add)
    redis.call('ZADD', own .. 'ids', 0, id)
    redis.call('ZADD', own .. 'accounts', now, '[' .. f[1] .. ',' .. (f[6] or 'null') .. ']')
    redis.call('ZREMRANGEBYSCORE', own .. 'accounts', '-inf', now - longest_unused)
  end
  each_list(own, unquoted(f[1]), status, add)
  if is_open then redis.call('ZREM', own .. 'ended', id) else redis.call('ZADD', own .. 'ended', now, id) end
  redis.call('HSET', key, 'listed', '"' .. status .. '"')
end

-- Note what a change of a shard means for its account, and for the operator
local function list_shard(own, key, id, now)
  local f = redis.call('HMGET', key, 'state', 'intent', 'account', 'model', 'in_flight')
  local has_job = f[1] == '"polling"' or (f[1] == '"creating"' and f[2] and f[2] ~= 'null')
  local account = has_job and account_name(f[3])
  local flight = account and account .. ':' .. unquoted(f[4])
  local before = f[5] and cjson.decode(f[5])
  if flight ~= before then
    if before then redis.call('SREM', own .. 'in_flight:' .. before, id) end
    if flight then
      redis.call('SADD', own .. 'in_flight:' .. flight, id)
      redis.call('HSET', key, 'in_flight', cjson.encode(flight))
    else
      redis.call('HDEL', key, 'in_flight')
    end
  end
  if f[1] == '"parked"' then
    redis.call('ZADD', own .. 'parked', 'NX', now, id)
  else
    redis.call('ZREM', own .. 'parked', id)
  end
end

local function place_of(kind, provider, queue, state)
  return table.concat({unquoted(kind), unquoted(provider), unquoted(queue), unquoted(state)}, ':')
end

-- Count an item where it stands now
local function count(own, key)
  local f = redis.call('HMGET', key, 'kind', 'provider', 'queue', 'state', 'counted')
  local place, before = place_of(f[1], f[2], f[3], f[4]), unquoted(f[5])
  if place == before then return end
  if before ~= '' then redis.call('HINCRBY', own .. 'standing', before, -1) end
  redis.call('HINCRBY', own .. 'standing', place, 1)
  redis.call('HSET', key, 'counted', '"' .. place .. '"')
end

-- Take an item out of all lists, before its deletion
local function unlist(own, key, id)
  local f = redis.call('HMGET', key, 'provider', 'listed', 'label', 'in_flight', 'counted')
  local label, flight = unquoted(f[3]), f[4] and cjson.decode(f[4])
  each_list(own, unquoted(f[1]), unquoted(f[2]), function(list) redis.call('ZREM', list, id) end)
  each_list(own, unquoted(f[1]), '', function(list) redis.call('ZREM', list, id) end)
  for _, list in ipairs({'ids', 'ended', 'parked'}) do redis.call('ZREM', own .. list, id) end
  if redis.call('HGET', own .. 'labels', label) == id then redis.call('HDEL', own .. 'labels', label) end
  if flight then redis.call('SREM', own .. 'in_flight:' .. flight, id) end
  if f[5] then redis.call('HINCRBY', own .. 'standing', unquoted(f[5]), -1) end
end

