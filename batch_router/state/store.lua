-- Every change to the state, each call atomic. Nothing here decides: it compares, sets and counts.
--
-- Keys below the prefix KEYS[1]:
--   item:<id>           hash   an item; each value is JSON (see items.py)
--   due                 zset   item id -> ms: when a worker must look at it again
--   batches             zset   batch id -> ms of its creation
--   jobs:<account>      zset   job id -> +inf while its shard is here, then ms of its deletion
--   pause:<account>     until it expires, no worker calls the provider for that account
--   listeners:<queue>   zset   worker -> ms until which it is known to listen
--   epochs              hash   run id of a server -> the epoch that it goes on with, where it lost nothing
--   epoch:<epoch>       seconds when a worker first met it
--
-- An epoch is a time in which the server forgot nothing: its run id, which changes with a restart and a promotion.
--
-- Calls: ARGV[1] is the name, ARGV[2] the epoch, '' for the server's own; the rest are the arguments. Times are ms from
-- now; now is the server's clock.
-- Single instance only: items are reached by computed keys, which Redis Cluster does not allow.

local prefix = KEYS[1]
local due = prefix .. 'due'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seconds = string.format('%.3f', now / 1000)

local function item_key(id) return prefix .. 'item:' .. id end

local function set_fields(key, fields)
  for field, value in pairs(fields) do redis.call('HSET', key, field, value) end
end

-- {id, version, state, provider, queue}: what a message about the item needs
local function hint(id)
  local f = redis.call('HMGET', item_key(id), 'version', 'state', 'provider', 'queue')
  return {id, f[1], f[2], f[3], f[4]}
end

-- Whether the item is of the caller's version; what is no hash is of none, and holds up no other item
local function understands(key, schema)
  local found = redis.pcall('HGET', key, 'schema')
  return type(found) ~= 'table' and (found or '1') == schema
end

local function is_at(key, version) return redis.call('HGET', key, 'version') == version end

-- A number alone may come twice: a server that forgot some writes counts from an older one
local function holds(key, fence, holder) return is_at(key, fence) and redis.call('HGET', key, 'claimed_by') == holder end

-- The epoch, and when it was first met: what an older one forgot happened before that
local function epoch()
  local run = ARGV[2] ~= '' and ARGV[2] or string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local name = redis.call('HGET', prefix .. 'epochs', run) or run
  redis.call('SET', prefix .. 'epoch:' .. name, seconds, 'NX', 'EX', 30 * 86400)
  return '"' .. name .. '"', redis.call('GET', prefix .. 'epoch:' .. name)
end

local function touch(key) redis.call('HSET', key, 'updated_at', seconds) end

-- Note for the account of an item that it has a job, with a score; a job that runs in a worker has no account
local function note_job(key, job, score)
  local json = redis.call('HGET', key, 'account')
  if not job or job == 'null' or not json or json == 'null' then return end
  local account = cjson.decode(json)
  local name = account.service
  if account.credential and account.credential ~= cjson.null then name = name .. '/' .. account.credential end
  local jobs = prefix .. 'jobs:' .. name
  redis.call('ZADD', jobs, score, cjson.decode(job).id)
  redis.call('ZREMRANGEBYSCORE', jobs, '-inf', now - 90 * 86400 * 1000)
end

local calls = {}

-- id, fields, delay
function calls.create(id, fields, delay)
  local key = item_key(id)
  if redis.call('EXISTS', key) == 1 then return 0 end
  set_fields(key, cjson.decode(fields))
  redis.call('HSET', key, 'id', '"' .. id .. '"', 'version', 1, 'created_at', seconds, 'epoch', (epoch()))
  touch(key)
  redis.call('ZADD', due, now + delay, id)
  redis.call('ZADD', prefix .. 'batches', now, id)
  return 1
end

-- id, version, lease, holder (JSON), batch id or '', schema of the caller's version
function calls.claim(id, version, lease, holder, batch, schema)
  local key = item_key(id)
  local claimed = redis.call('HGET', key, 'claimed_by')
  if redis.call('HGET', key, 'version') == tostring(version + 1) and claimed == holder then
    return redis.call('HGETALL', key) -- the reply to this very claim was lost
  end
  if not is_at(key, version) or not redis.call('ZSCORE', due, id) or not understands(key, schema) then return false end
  if claimed and claimed ~= 'null' then redis.call('HINCRBY', key, 'crashes', 1) end
  local name, since = epoch()
  if redis.call('HGET', key, 'epoch') ~= name then redis.call('HSET', key, 'doubt_since', since, 'epoch', name) end
  redis.call('HINCRBY', key, 'version', 1)
  redis.call('HSET', key, 'claimed_by', holder)
  if batch ~= '' and redis.call('HGET', item_key(batch), 'cancel') == 'true' then
    redis.call('HSET', key, 'cancel', 'true')
  end
  redis.call('ZADD', due, now + lease, id)
  return redis.call('HGETALL', key)
end

-- id, fence, holder (JSON), lease, facts
function calls.renew(id, fence, holder, lease, facts)
  local key = item_key(id)
  if not holds(key, fence, holder) then return 0 end
  set_fields(key, cjson.decode(facts))
  redis.call('ZADD', due, now + lease, id)
  return 1
end

-- id, holder (JSON). Its claim ends without a commit, and is not counted as a crash.
function calls.let_go(id, holder)
  local key = item_key(id)
  if redis.call('HGET', key, 'claimed_by') == holder then
    redis.call('HDEL', key, 'claimed_by')
    redis.call('ZADD', due, 'XX', now, id)
  elseif tonumber(redis.call('HGET', key, 'crashes') or 0) > 0 then
    redis.call('HINCRBY', key, 'crashes', -1) -- it was counted when another worker took the item
  end
  return 1
end

-- id, fence, state (JSON), delay or -1, facts, holder (JSON), batch id or '', state to wake the batch in or '',
-- {{counts as open, fields} of a shard to make, ...}, grace, '1' where no step has the item: an operator decides
-- Returns {version, hint, ...} or false.
function calls.commit(id, fence, state, delay, facts, holder, batch, wake, spawn, grace, decides)
  local key = item_key(id)
  local is_ours
  if decides == '1' then
    is_ours = is_at(key, fence) and (redis.call('HGET', key, 'claimed_by') or 'null') == 'null'
  else
    is_ours = holds(key, fence, holder)
  end
  if not is_ours then
    local repeated = redis.call('HGET', key, 'version') == tostring(fence + 1)
      and redis.call('HGET', key, 'committed_by') == holder
    return repeated and {fence + 1} or false
  end
  local reply = {redis.call('HINCRBY', key, 'version', 1)}
  local name = epoch()
  facts = cjson.decode(facts)
  if facts.job then note_job(key, redis.call('HGET', key, 'job'), now) end -- another one takes its place
  set_fields(key, facts)
  note_job(key, facts.job, '+inf')
  redis.call('HSET', key, 'state', state, 'committed_by', holder, 'crashes', 0)
  redis.call('HDEL', key, 'claimed_by')
  touch(key)
  local parent = batch ~= '' and item_key(batch)
  if tonumber(delay) < 0 then
    redis.call('ZREM', due, id)
  else
    local cancelled = redis.call('HGET', parent or key, 'cancel') == 'true'
    if cancelled and redis.call('HGET', key, 'cancel') ~= 'true' then delay = 0 end
    redis.call('ZADD', due, now + delay, id)
  end
  local owner = parent or key
  local owner_id = batch ~= '' and batch or id
  for _, spawned in ipairs(cjson.decode(spawn)) do
    local child = owner_id .. '.' .. (redis.call('HINCRBY', owner, 'shards', 1) - 1)
    local child_key = item_key(child)
    set_fields(child_key, spawned[2])
    redis.call('HSET', child_key, 'id', '"' .. child .. '"', 'version', 1, 'epoch', name)
    redis.call('HSET', child_key, 'created_at', seconds, 'updated_at', seconds)
    redis.call('ZADD', due, now + grace, child)
    if spawned[1] then
      redis.call('HSET', child_key, 'counts', 'true')
      redis.call('HINCRBY', owner, 'open', 1)
    end
    reply[#reply + 1] = hint(child)
  end
  local counts = wake ~= '' and redis.call('HGET', key, 'counts') == 'true'
  if counts and redis.call('HINCRBY', parent, 'open', -1) == 0 then
    redis.call('HSET', parent, 'state', wake)
    redis.call('HINCRBY', parent, 'version', 1)
    redis.call('ZADD', due, now + grace, owner_id)
    touch(parent)
    reply[#reply + 1] = hint(owner_id)
  end
  return reply
end

-- limit, grace, schema of the caller's version
function calls.take_due(limit, grace, schema)
  local hints, passed_over = {}, 0 -- an item of another version stays where it is, in front
  limit = tonumber(limit)
  while #hints < limit do
    local ids = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', passed_over, limit - #hints)
    if #ids == 0 then break end
    for _, id in ipairs(ids) do
      if understands(item_key(id), schema) then
        redis.call('ZADD', due, now + math.max(1, grace), id) -- at grace 0 this loop would find it again
        hints[#hints + 1] = hint(id)
      else
        passed_over = passed_over + 1
      end
    end
  end
  return hints
end

local function is_final(state, finals)
  for _, final in ipairs(cjson.decode(finals)) do
    if state == '"' .. final .. '"' then return true end
  end
  return false
end

-- batch id and, by number, its shards; a number that no batch has would keep the server busy for ever
local function family(id)
  local ids, count = {id}, tonumber(redis.call('HGET', item_key(id), 'shards') or 0)
  if not count or count > 200000 then error('shards is no number of shards') end
  for number = 0, count - 1 do ids[#ids + 1] = id .. '.' .. number end
  return ids
end

-- batch id, final states (JSON). What is being worked on sees the flag at its commit.
function calls.cancel(id, finals)
  local key = item_key(id)
  local state = redis.call('HGET', key, 'state')
  if not state or is_final(state, finals) then return 0 end
  redis.call('HSET', key, 'cancel', 'true')
  touch(key)
  for _, each in ipairs(family(id)) do
    if not redis.call('HGET', item_key(each), 'claimed_by') then redis.call('ZADD', due, 'XX', now, each) end
  end
  return 1
end

-- batch id, final states (JSON)
function calls.delete(id, finals)
  local state = redis.call('HGET', item_key(id), 'state')
  if not state or not is_final(state, finals) then return 0 end
  for _, each in ipairs(family(id)) do
    note_job(item_key(each), redis.call('HGET', item_key(each), 'job'), now)
    redis.call('DEL', item_key(each))
    redis.call('ZREM', due, each)
  end
  redis.call('ZREM', prefix .. 'batches', id)
  return 1
end

-- run id of a server that ended in good order. The one that runs now goes on with its epoch.
function calls.go_on(run)
  local now_runs = ARGV[2] ~= '' and ARGV[2] or string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  redis.call('HSET', prefix .. 'epochs', now_runs, redis.call('HGET', prefix .. 'epochs', run) or run)
  redis.call('HDEL', prefix .. 'epochs', run)
  return 1
end

-- account, ms
function calls.pause(account, ms)
  local key = prefix .. 'pause:' .. account
  if redis.call('PTTL', key) < tonumber(ms) then redis.call('SET', key, '1', 'PX', ms) end
  return 1
end

-- worker, ttl, queue, ...
function calls.announce(worker, ttl, ...)
  epoch()
  for _, queue in ipairs({...}) do
    redis.call('ZADD', prefix .. 'listeners:' .. queue, now + ttl, worker)
    redis.call('ZREMRANGEBYSCORE', prefix .. 'listeners:' .. queue, '-inf', now)
  end
  return 1
end

-- queue
function calls.listeners(queue)
  return redis.call('ZRANGEBYSCORE', prefix .. 'listeners:' .. queue, now, '+inf')
end

return calls[ARGV[1]](unpack(ARGV, 3))
