-- Every change to the state, each call atomic. Nothing here decides: it compares, sets and counts.
--
-- Keys below the prefix KEYS[1]:
--   item:<id>           hash   an item; each value is JSON (see items.py)
--   jobs:<account>      zset   job id -> +inf while its shard is here, then ms of its deletion
--   unfetched:<account> zset   job id -> ms since which its shard has ended, or is about to, without all its answers
--   owners:<account>    hash   job id -> the shard that has it
--   pause:<account>     until it expires, no worker calls the provider for that account
--   walker:<account>    hash   id and fence of the item under whose claim a worker walks through the account's jobs
--   walk:<account>      hash   what the last walk found: began_at, since, and JSON lists of jobs by what they are found by
--   labels:<account>    hash   job id -> its label, where asking the provider for that takes a request
--   listeners:<queue>   zset   worker -> ms until which it is known to listen
--   name                of this store, in the marks of what it took (see road/accepted.py)
--   run                 run id of the server that these keys were last used on
--   ended               the word of the last server's end, if it was asked to end
--   epochs              hash   run id of a server -> the epoch that it goes on with, where it lost nothing
--   epoch:<epoch>       seconds when a worker first met it
--   layouts             set    the prefixes KEYS[2] of all versions that wrote here
--   totals              hash   <name>:<provider>:<label> -> a number that only grows; see `census.py`
-- Keys below the prefix KEYS[2], which has the schema of the caller's version: items of other versions hold up none of ours
--   looked_for_times    until it expires, no worker looks for open items without a time
--   due                 zset   item id -> ms: when a worker must look at it again
--   unread              hash   item id -> how often a worker could not read it
--   quarantine          zset   item id -> ms: since when it is no longer due, for it cannot be read
--   reasons             hash   item id -> why it is in the quarantine
--   and what `lists.lua` and `ledger.lua` keep; their text comes before this one
--
-- An epoch is a time in which the server forgot nothing: its run id, which changes with a restart and a promotion.
--
-- Calls: ARGV[1] is the name, ARGV[2] the epoch, '' for the server's own; the rest are the arguments. Times are ms from
-- now; now is the server's clock.
-- Single instance only: items are reached by computed keys, which Redis Cluster does not allow.

local prefix, own = KEYS[1], KEYS[2]
local own_schema = own:match('v(%d+):$')
local due, quarantine, reasons, unread = own .. 'due', own .. 'quarantine', own .. 'reasons', own .. 'unread'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local seconds = string.format('%.3f', now / 1000)

local ledger = open_ledger(prefix, due, now)

local function item_key(id) return prefix .. 'item:' .. id end

local function set_fields(key, fields)
  if fields.booked then ledger.book(key, fields.booked) end
  for field, value in pairs(fields) do redis.call('HSET', key, field, value) end
end

-- Of an id that batch_router gives
local function is_id(id)
  return #id <= 72 and (id:find('^[%w_-]+$') or id:find('^[%w_-]+%.n?%d+$')) ~= nil
end

-- Whether the sweep sends an item's message at once: its user cancels the batch, or its time is over
local function is_urgent(id, state, cancel, timeout, created_at)
  local batch = id:match('^([^.]+)%.')
  timeout, created_at = tonumber(timeout), tonumber(created_at)
  return cancel == 'true' or state == '"running"' -- waits for its time-out alone
    or (batch and redis.pcall('HGET', item_key(batch), 'cancel') == 'true')
    or (timeout and created_at and created_at + timeout <= tonumber(seconds))
end

-- {id, version, state, provider, queue, urgent, held back}: what a message about the item needs; false: it is no item
local function hint(id)
  local f = redis.pcall('HMGET', item_key(id), 'version', 'state', 'provider', 'queue', 'cancel', 'timeout', 'created_at',
    'held', 'schema')
  if f.err or not f[1] or f[9] ~= own_schema then return false end
  local version, held = (f[8] or ''):match('^%[(%d+),(%d+)%]$')
  local urgent = is_urgent(id, f[2], f[5], f[6], f[7]) and 'true' or 'false'
  return {id, f[1], f[2], f[3], f[4], urgent, version == f[1] and held or '0'}
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
  if redis.call('GET', prefix .. 'run') ~= run then redis.call('SET', prefix .. 'run', run) end
  local name = redis.call('HGET', prefix .. 'epochs', run) or run
  redis.call('SET', prefix .. 'epoch:' .. name, seconds, 'NX', 'EX', 30 * 86400)
  return '"' .. name .. '"', redis.call('GET', prefix .. 'epoch:' .. name)
end

-- Whether an item that no worker has is still as an operator saw it; another of its id was born at another time
local function rests(key, version, born)
  return is_at(key, version) and (redis.call('HGET', key, 'claimed_by') or 'null') == 'null'
    and tonumber(redis.call('HGET', key, 'created_at')) == tonumber(born)
end

local function is_final(state, finals)
  for _, final in ipairs(cjson.decode(finals)) do
    if state == '"' .. final .. '"' then return true end
  end
  return false
end

local function touch(key) redis.call('HSET', key, 'updated_at', seconds) end

-- Note for the account of an item that it has a job, with a score, or no such job; one that runs in a worker has no account
local function note_job(key, job, score, kind)
  local json = redis.call('HGET', key, 'account')
  if not job or job == 'null' or not json or json == 'null' then return end
  local name, job_id = account_name(json), cjson.decode(job).id
  local jobs, owners = prefix .. (kind or 'jobs:') .. name, prefix .. 'owners:' .. name
  if score then redis.call('ZADD', jobs, score, job_id) else redis.call('ZREM', jobs, job_id) end
  if score == '+inf' then redis.call('HSET', owners, job_id, unquoted(redis.call('HGET', key, 'id')))
  elseif not kind then redis.call('HDEL', owners, job_id) end
  redis.call('ZREMRANGEBYSCORE', jobs, '-inf', now - longest_unused)
end

-- A list that cannot be changed (its key is of another kind, a field of the item holds nonsense) stops no step
local function list(key, id)
  if id:find('.', 1, true) then pcall(list_shard, own, key, id, now) else pcall(list_batch, own, key, id, now) end
end

-- The same where its state may have changed
local function list_and_count(key, id)
  list(key, id)
  pcall(count, own, key)
end

local function add_up(tally)
  for total, amount in pairs(tally) do redis.pcall('HINCRBYFLOAT', prefix .. 'totals', total, amount) end
end

-- batch id and, by number, its shards and notices; a number that no batch has would keep the server busy for ever
local function family(id)
  local ids = {id}
  for field, mark in pairs({shards = '.', notices = '.n'}) do
    local count = tonumber(redis.call('HGET', item_key(id), field) or 0)
    if not count or count > 200000 then error(field .. ' is no number of ' .. field) end
    for number = 0, count - 1 do ids[#ids + 1] = id .. mark .. number end
  end
  return ids
end

-- Delete an item; its job stays known as ours, unless another shard may find it
local function forget(id, frees_job)
  local key = item_key(id)
  ledger.leave(key, id)
  ledger.release(key, frees_job)
  note_job(key, redis.call('HGET', key, 'job'), not frees_job and now)
  unlist(own, key, id)
  redis.call('DEL', key)
  redis.call('ZREM', due, id)
  redis.call('ZREM', quarantine, id)
  redis.call('HDEL', reasons, id)
  redis.call('HDEL', unread, id)
end

local function forget_shards(id, free_jobs)
  for _, each in ipairs(family(id)) do
    if each ~= id then forget(each, free_jobs) end
  end
  redis.call('HSET', item_key(id), 'shards', 0, 'open', 0, 'notices', 0)
end

-- What is left of a batch whose record was lost, and which is cut again. Numbers have no large gaps
local function forget_rest(id)
  for _, mark in ipairs({'.', '.n'}) do
    local number, missing = 0, 0
    while missing < 100 do
      local child = id .. mark .. number
      if redis.call('EXISTS', item_key(child)) == 1 then
        forget(child, true)
        missing = 0
      else
        missing = missing + 1
      end
      number = number + 1
    end
  end
end

-- A shard less is open; whether it was the last one, which moves its batch to the state `wake`
local function close_one(id, wake, grace)
  local key = item_key(id)
  if redis.call('HINCRBY', key, 'open', -1) ~= 0 then return false end
  redis.call('HSET', key, 'state', wake)
  redis.call('HINCRBY', key, 'version', 1)
  redis.call('ZADD', due, now + grace, id)
  touch(key)
  pcall(count, own, key)
  return true
end

local calls = {}

-- id, fields, delay or -1
function calls.create(id, fields, delay)
  local key = item_key(id)
  if redis.call('EXISTS', key) == 1 then return 0 end
  fields = cjson.decode(fields)
  if fields.created_at then forget_rest(id) end
  set_fields(key, fields)
  local born = fields.created_at or seconds
  redis.call('HSET', key, 'id', '"' .. id .. '"', 'version', 1, 'created_at', born, 'epoch', (epoch()))
  touch(key)
  if tonumber(delay) >= 0 then redis.call('ZADD', due, now + delay, id) end
  redis.call('SADD', prefix .. 'layouts', own)
  list_and_count(key, id)
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
  if claimed and claimed ~= 'null' then
    redis.call('HINCRBY', key, 'crashes', 1)
    local f = redis.call('HMGET', key, 'provider', 'state')
    add_up({['recoveries:' .. unquoted(f[1]) .. ':' .. unquoted(f[2])] = 1})
  end
  local name, since = epoch()
  if redis.call('HGET', key, 'epoch') ~= name then
    redis.call('HSET', key, 'doubt_since', since, 'last_doubt', since, 'epoch', name)
  end
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
  list(key, id)
  redis.call('ZADD', due, now + lease, id)
  return 1
end

-- id, fence, holder (JSON), lease, facts with what the shard takes, limits {line: limit} where the store has none (JSON)
-- Returns 1; 0: the item was lost; a line: it has no room, and the item waits in it.
function calls.reserve(id, fence, holder, lease, facts, given)
  local key = item_key(id)
  if not holds(key, fence, holder) then return 0 end
  facts = cjson.decode(facts)
  local line = ledger.short_of(key, id, facts.booked, cjson.decode(given))
  if line then
    ledger.wait(key, id, line)
    return line
  end
  ledger.leave(key, id)
  set_fields(key, facts)
  list(key, id)
  redis.call('ZADD', due, now + lease, id)
  return 1
end

-- line, limit or ''
function calls.set_limit(line, limit)
  ledger.set_limit(line, limit)
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
-- {{counts as open, fields} of a shard or a notice to make, ...}, grace, '1' to delete the shards, and where no step has the item,
-- for an operator decides, when the item was born (seconds), else ''; {total: what the step adds to it}
-- Returns {version, hint, ...} or false.
function calls.commit(id, fence, state, delay, facts, holder, batch, wake, spawn, grace, forget, born, tally)
  local key = item_key(id)
  local is_ours
  if born ~= '' then is_ours = rests(key, fence, born) else is_ours = holds(key, fence, holder) end
  if not is_ours then
    local repeated = redis.call('HGET', key, 'version') == tostring(fence + 1)
      and redis.call('HGET', key, 'committed_by') == holder
    return repeated and {fence + 1} or false
  end
  if batch ~= '' and redis.call('EXISTS', item_key(batch)) == 0 then return false end -- it was lost, and is found again
  local reply = {redis.call('HINCRBY', key, 'version', 1)}
  local name = epoch()
  facts = cjson.decode(facts)
  if facts.job then note_job(key, redis.call('HGET', key, 'job'), now) end -- another one takes its place
  set_fields(key, facts)
  note_job(key, facts.job, '+inf')
  if facts.unfetched then
    note_job(key, redis.call('HGET', key, 'job'), facts.unfetched == 'true' and now, 'unfetched:')
  end
  if ledger.is_woken(key) then delay = math.min(tonumber(delay), 0) end
  if redis.call('HGET', key, 'state') ~= state then ledger.leave(key, id) end
  if tonumber(delay) < 0 then ledger.release(key) end
  redis.call('HSET', key, 'state', state, 'committed_by', holder, 'crashes', 0)
  redis.call('HDEL', key, 'claimed_by')
  add_up(cjson.decode(tally))
  touch(key)
  if forget == '1' then forget_shards(id) end
  list_and_count(key, id)
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
    local is_notice = spawned[2].kind == '"notice"'
    local counter, mark = unpack(is_notice and {'notices', '.n'} or {'shards', '.'})
    local child = owner_id .. mark .. (redis.call('HINCRBY', owner, counter, 1) - 1)
    local child_key = item_key(child)
    set_fields(child_key, spawned[2])
    local place = place_of(spawned[2].kind, spawned[2].provider, spawned[2].queue, spawned[2].state)
    redis.call('HSET', child_key, 'id', '"' .. child .. '"', 'version', 1, 'epoch', name, 'counted', '"' .. place .. '"')
    redis.call('HSET', child_key, 'created_at', seconds, 'updated_at', seconds)
    redis.pcall('HINCRBY', own .. 'standing', place, 1)
    if not is_notice then redis.call('HSET', own .. 'labels', unquoted(spawned[2].label), child) end
    redis.call('ZADD', due, now + grace, child)
    if spawned[1] then
      redis.call('HSET', child_key, 'counts', 'true')
      redis.call('HINCRBY', owner, 'open', 1)
    end
    reply[#reply + 1] = hint(child)
  end
  if wake ~= '' and redis.call('HGET', key, 'counts') == 'true' and close_one(owner_id, wake, grace) then
    reply[#reply + 1] = hint(owner_id)
  end
  return reply
end

-- batch id, version and birth (seconds) of a batch that has ended, state (JSON), delay or -1, facts,
-- {{id, version, birth, state, facts} of a shard that goes on, ...}, grace, '1' to delete the shards
-- Returns {hint, ...} or false.
function calls.reopen(id, version, born, state, delay, facts, shards, grace, forget)
  local key = item_key(id)
  shards = cjson.decode(shards)
  if not rests(key, version, born) then return false end
  for _, each in ipairs(shards) do
    if not rests(item_key(each[1]), each[2], each[3]) then return false end
  end
  local reply, open = {}, 0
  local function go_on_in(item, to, known, pause)
    local item_at = item_key(item)
    set_fields(item_at, known)
    redis.call('HSET', item_at, 'state', to, 'crashes', 0)
    redis.call('HINCRBY', item_at, 'version', 1)
    touch(item_at)
    list_and_count(item_at, item)
    if tonumber(pause) < 0 then redis.call('ZREM', due, item) else redis.call('ZADD', due, now + pause, item) end
    if redis.call('HGET', item_at, 'counts') == 'true' then open = open + 1 end
    reply[#reply + 1] = hint(item)
  end
  if forget == '1' then -- its shards are made again, and look for their jobs
    forget_shards(id, true)
    redis.call('HSET', key, 'doubt_since', seconds, 'last_doubt', seconds)
  end
  go_on_in(id, state, cjson.decode(facts), delay)
  for _, each in ipairs(shards) do go_on_in(each[1], each[4], each[5], grace) end
  redis.call('HSET', key, 'open', open)
  return reply
end

-- A record that is gone is remembered as long as the ids of jobs are
local function forget_what_is_gone()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', quarantine, '-inf', now - longest_unused, 'LIMIT', 0, 9)) do
    if redis.call('EXISTS', item_key(id)) == 0 then
      redis.call('ZREM', quarantine, id)
      redis.call('HDEL', reasons, id)
    end
  end
end

local function set_aside(id, reason)
  forget_what_is_gone()
  redis.call('ZREM', due, id)
  redis.call('ZADD', quarantine, now, id)
  redis.call('HSET', reasons, id, reason)
end

-- A shard whose record is gone ends nothing any more: its batch goes on without it, and misses its rows in the end
local function close_lost(id, wake, grace)
  local batch = id:match('^([^.]+)%.%d+$')
  if batch and redis.call('EXISTS', item_key(id)) == 0 and redis.pcall('HGET', item_key(batch), 'state') == '"running"' then
    close_one(batch, wake, grace)
  end
end

-- Entries that one call looks at, names of such that are no ids that it returns, and bytes of each that are shown
local most_entries, most_names, longest_name = 10000, 10, 100
-- An item that is held back again and again comes back after twice the time each time, up to 4,096 times the grace
local most_doublings = 12

-- limit, grace, state to wake a batch in
-- Returns {{hint, ...}, {entry that is no id, ...}}. What it looks at leaves the front, so the next call sees what is behind.
function calls.take_due(limit, grace, wake)
  local hints, dropped, seen = {}, {}, 0
  limit = tonumber(limit)
  while #hints < limit and seen < most_entries do
    local ids = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit - #hints)
    if #ids == 0 then break end
    seen = seen + #ids
    for _, id in ipairs(ids) do
      local found = is_id(id) and hint(id)
      if found then
        local pause = grace * 2 ^ math.min(tonumber(found[7]), most_doublings)
        redis.call('ZADD', due, now + math.max(1, pause), id) -- at grace 0 this loop would find it again
        hints[#hints + 1] = found
      elseif is_id(id) then
        set_aside(id, 'its record is gone, or is none of this version')
        close_lost(id, wake, grace)
      else
        redis.call('ZREM', due, id)
        if #dropped < most_names then dropped[#dropped + 1] = id:sub(1, longest_name) end
      end
    end
  end
  return {hints, dropped}
end

-- final states (JSON), batch id, ...
-- Returns the ids of open items of these batches that had no time, as a server lost it. They are due now.
function calls.restore_times(finals, ...)
  local restored = {}
  for _, batch in ipairs({...}) do
    for _, id in ipairs(family(batch)) do
      local key = item_key(id)
      local state, timeout = unpack(redis.call('HMGET', key, 'state', 'timeout'))
      local rests = state == '"running"' and (timeout or 'null') == 'null' -- nothing but its shards moves it
      local is_open = state and not is_final(state, finals) and not rests and understands(key, own_schema)
      if is_open and not redis.call('ZSCORE', due, id) and not redis.call('ZSCORE', quarantine, id) then
        redis.call('ZADD', due, now, id)
        restored[#restored + 1] = id
      end
    end
  end
  return restored
end

-- id, version, ...: of items whose message was not sent, or was sent though their queue is long
function calls.hold_back(...)
  local items = {...}
  for n = 1, #items, 2 do
    local found = hint(items[n])
    if found and found[2] == items[n + 1] then
      redis.call('HSET', item_key(items[n]), 'held', '[' .. found[2] .. ',' .. found[7] + 1 .. ']')
    end
  end
  return 1
end

-- id, why a worker could not read it, after how many times it is set aside
function calls.suspect(id, reason, tries)
  if redis.call('HINCRBY', unread, id, 1) < tonumber(tries) then return 0 end
  redis.call('HDEL', unread, id)
  set_aside(id, reason)
  return 1
end

-- id of a shard, or of a batch for it and its shards; final states (JSON)
-- Returns the ids that were in the quarantine.
function calls.release(id, finals)
  local released = {}
  for _, each in ipairs(family(id)) do
    redis.call('HDEL', unread, each)
    if redis.call('ZREM', quarantine, each) == 1 then
      redis.call('HDEL', reasons, each)
      local state = redis.call('HGET', item_key(each), 'state')
      if state and not is_final(state, finals) then redis.call('ZADD', due, now, each) end
      released[#released + 1] = each
    end
  end
  return released
end

-- batch id, final states (JSON), its failure (JSON) or ''. What is being worked on sees the flag at its commit.
function calls.cancel(id, finals, reason)
  local key = item_key(id)
  local state = redis.call('HGET', key, 'state')
  if not state or is_final(state, finals) then return 0 end
  if reason ~= '' and redis.call('HGET', key, 'cancel') ~= 'true' then redis.call('HSET', key, 'failure', reason) end
  redis.call('HSET', key, 'cancel', 'true')
  touch(key)
  list(key, id)
  for _, each in ipairs(family(id)) do
    if not redis.call('HGET', item_key(each), 'claimed_by') then redis.call('ZADD', due, 'XX', now, each) end
  end
  return 1
end

-- batch id, birth (seconds), final states (JSON)
function calls.delete(id, born, finals)
  local state, created_at = unpack(redis.call('HMGET', item_key(id), 'state', 'created_at'))
  if not state or not is_final(state, finals) or tonumber(created_at) ~= tonumber(born) then return 0 end
  for _, each in ipairs(family(id)) do forget(each) end
  ledger.forget_batch(id)
  return 1
end

-- a word. The server ends now; if it does so in good order, the next one can go on with its epoch by this word
function calls.end_run(word)
  epoch() -- this run's, even if no worker used it
  redis.call('SET', prefix .. 'ended', word)
  return 1
end

-- the word of the last server's end in good order. An older copy does not have it
function calls.go_on(word)
  local run = redis.call('GET', prefix .. 'run')
  if not run or redis.call('GET', prefix .. 'ended') ~= word then return 0 end
  redis.call('DEL', prefix .. 'ended')
  local now_runs = ARGV[2] ~= '' and ARGV[2] or string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  redis.call('HSET', prefix .. 'epochs', now_runs, redis.call('HGET', prefix .. 'epochs', run) or run)
  redis.call('HDEL', prefix .. 'epochs', run)
  redis.call('SET', prefix .. 'run', now_runs)
  return 1
end

-- a name, for a store that has none yet. Returns the store's.
function calls.name(candidate)
  redis.call('SET', prefix .. 'name', candidate, 'NX')
  return redis.call('GET', prefix .. 'name')
end

-- account, job id, ...
-- Returns those that a shard has or had; the job of a shard whose record vanished has no owner.
function calls.owned_jobs(account, ...)
  local owned = {}
  for _, job_id in ipairs({...}) do
    local owner = redis.call('HGET', prefix .. 'owners:' .. account, job_id)
    local is_read, job = pcall(cjson.decode, owner and redis.call('HGET', item_key(owner), 'job') or 'null')
    local has_vanished = owner and is_read and (job == cjson.null or job.id ~= job_id)
    if redis.call('ZSCORE', prefix .. 'jobs:' .. account, job_id) and not has_vanished then owned[#owned + 1] = job_id end
  end
  return owned
end

-- account, job id, ...: the shards that poll them are due, unless a worker has them
function calls.wake_owners(account, ...)
  for _, job_id in ipairs({...}) do
    local owner = redis.call('HGET', prefix .. 'owners:' .. account, job_id)
    local state, holder = unpack(owner and redis.call('HMGET', item_key(owner), 'state', 'claimed_by') or {})
    if state == '"polling"' and (holder or 'null') == 'null' then redis.call('ZADD', due, 'XX', now, owner) end
  end
  return 1
end

-- account, ms
function calls.pause(account, ms)
  local key = prefix .. 'pause:' .. account
  if redis.call('PTTL', key) < tonumber(ms) then redis.call('SET', key, '1', 'PX', ms) end
  return 1
end

-- account, item id, its fence. Returns seconds, or false while a walk of another item goes on.
function calls.begin_walk(account, id, fence)
  local key = prefix .. 'walker:' .. account
  local other = redis.call('HMGET', key, 'id', 'fence')
  local is_walking = other[1] and is_at(item_key(other[1]), other[2])
    and tonumber(redis.call('ZSCORE', due, other[1]) or 0) > now
  if is_walking and other[1] ~= id then return false end
  redis.call('HSET', key, 'id', id, 'fence', fence)
  redis.call('EXPIRE', key, 86400)
  return seconds
end

-- account, item id, seconds when it began, how far back it went, {what jobs are found by: JSON list of jobs}, ttl
function calls.end_walk(account, id, began_at, since, found, ttl)
  if redis.call('HGET', prefix .. 'walker:' .. account, 'id') ~= id then return 0 end
  redis.call('DEL', prefix .. 'walker:' .. account)
  local key = prefix .. 'walk:' .. account
  redis.call('DEL', key)
  set_fields(key, cjson.decode(found))
  redis.call('HSET', key, 'began_at', began_at, 'since', since)
  redis.call('PEXPIRE', key, ttl)
  return 1
end

-- account, most, ttl, job id, label, ...
function calls.note_labels(account, most, ttl, ...)
  local key = prefix .. 'labels:' .. account
  if redis.call('HLEN', key) >= tonumber(most) then redis.call('DEL', key) end
  for i = 1, select('#', ...), 2 do redis.call('HSET', key, (select(i, ...)), (select(i + 1, ...))) end
  redis.call('PEXPIRE', key, ttl)
  return 1
end

-- worker, ttl, queue, ...
function calls.announce(worker, ttl, ...)
  local name = epoch()
  for _, queue in ipairs({...}) do
    redis.call('ZADD', prefix .. 'listeners:' .. queue, now + ttl, worker)
    redis.call('ZREMRANGEBYSCORE', prefix .. 'listeners:' .. queue, '-inf', now)
  end
  return name
end

-- queue
function calls.listeners(queue)
  return redis.call('ZRANGEBYSCORE', prefix .. 'listeners:' .. queue, now, '+inf')
end

return calls[ARGV[1]](unpack(ARGV, 3))
