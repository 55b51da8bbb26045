-- One piece of work, whole or not at all: what the server does for src/store/valkey_piece.c, which sends the arguments
-- and reads the reply. In front of this text, the gateway puts the line that names the library, and VERSION.
--
-- Arguments: prefix, group, sender, slot, sequence, deadline, and for each item: verb and kind (two letters), key, two
-- numbers, a value. Reply: now, state, and where the state is "ok" one reply for each item.
--
-- Keys, after the prefix:
--   {<group>}:<kind>:<key>   hash: n version, v value, d due (-1: none), l number of the last event of its log
--   {<group>}:<KIND>:<key>   stream: the log, ids <number>-0; expires with the record
--   due:<kind>               sorted set: <group>:<key> by due
--   layout                   hash: format of all this as the newest gateway writes it, reader the least that may read it
--   generation               how often another node has become the master, as far as gateways have seen it
--   once:<sender>            hash: by slot, the sequence and the reply of the piece that was there last
-- Times are milliseconds since the epoch, of this server.

local FORMAT, READER = 1, 1 -- of the layout
local FIRST, WIDTH = 7, 5
local REMEMBERED = 65536 -- bytes; of a longer reply only that there was one
local REMEMBER_FOR = 60000
local SCAN_MORE = 1000 -- members of the due index that one item may find stale

-- redis.call is not there yet while the library is loaded.
local function call(...)
	return redis.call(...)
end

local function time_now()
	local t = call('TIME')
	return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function record_open(piece, kind, key)
	local name = piece.prefix .. '{' .. piece.group .. '}:' .. kind .. ':' .. key
	local r = piece.records[name]
	if not r then
		local f = call('HMGET', name, 'n', 'd', 'l')
		r = {
			name = name,
			log = piece.prefix .. '{' .. piece.group .. '}:' .. string.upper(kind) .. ':' .. key,
			index = piece.prefix .. 'due:' .. kind,
			member = piece.group .. ':' .. key,
			n = tonumber(f[1]) or 0,
			d = f[2] or '-1',
			l = tonumber(f[3]) or 0,
		}
		r.then_n, r.then_l = r.n, r.l
		piece.records[name] = r
	end
	return r
end

local function items_open(piece, args)
	local items = {}
	for at = FIRST, #args, WIDTH do
		local item = {
			verb = string.sub(args[at], 1, 1),
			kind = string.sub(args[at], 2, 2),
			key = args[at + 1],
			a = args[at + 2],
			b = args[at + 3],
			value = args[at + 4],
		}
		if item.verb ~= 'U' and item.verb ~= 'T' then
			item.record = record_open(piece, item.kind, item.key)
		end
		items[#items + 1] = item
	end
	return items
end

-- What the piece comes to, one item after the other: "ok" where every CHECK and APPEND fits, and every value read into
-- the room its reader has. Nothing is written yet: there is no way back.
local function items_state(items)
	for _, item in ipairs(items) do
		local r = item.record
		if item.verb == 'P' then
			if r.then_n == 0 then r.then_l = 0 end
			r.then_n = r.then_n + 1
			r.then_bytes = #item.value
		elseif item.verb == 'K' or item.verb == 'R' then
			if r.then_n == 0 then return 'stale' end
			if item.verb == 'K' then r.then_bytes = #item.value end
		elseif item.verb == 'G' and r.then_n > 0 then
			r.then_bytes = r.then_bytes or call('HSTRLEN', r.name, 'v')
			if r.then_bytes > tonumber(item.a) then return 'full' end
		elseif item.verb == 'D' then
			r.then_n, r.then_l = 0, 0
		elseif item.verb == 'C' then
			if item.a ~= string.format('%.0f', r.then_n) then return 'stale' end
		elseif item.verb == 'A' then
			r.then_l = r.then_l + 1
			if r.then_n == 0 or item.a ~= string.format('%.0f', r.then_l) then return 'stale' end
		end
	end
	return 'ok'
end

local does = {}

function does.G(_, item)
	local r = item.record
	if r.n == 0 then return false end
	return {r.n, r.d, call('HGET', r.name, 'v')}
end

function does.C()
	return 0
end

-- Its times, from the item.
local function times_set(piece, item, fresh)
	local r = item.record
	-- The server keeps a key through the millisecond that it names: that is the one before the end.
	local expires, due = piece.now + math.max(item.a - 1, 1), '-1'
	if item.b ~= '-1' then due = string.format('%.0f', piece.now + item.b) end
	call('HSET', r.name, 'd', due)
	call('PEXPIREAT', r.name, expires)
	if r.l > 0 then call('PEXPIREAT', r.log, expires) end
	if due ~= '-1' then
		call('ZADD', r.index, due, r.member)
	elseif fresh or r.d ~= '-1' then
		call('ZREM', r.index, r.member)
	end
	r.d = due
end

function does.P(piece, item)
	local r, fresh = item.record, item.record.n == 0
	if fresh then
		r.l = 0
		call('UNLINK', r.log)
	end
	r.n = r.n + 1
	call('HSET', r.name, 'n', r.n, 'v', item.value)
	times_set(piece, item, fresh)
	return r.n
end

function does.K(piece, item)
	call('HSET', item.record.name, 'v', item.value)
	times_set(piece, item, false)
	return 0
end

function does.R(piece, item)
	times_set(piece, item, false)
	return 0
end

function does.D(_, item)
	local r = item.record
	if r.n > 0 then
		call('UNLINK', r.name, r.log)
		if r.d ~= '-1' then call('ZREM', r.index, r.member) end
	end
	r.n, r.l, r.d = 0, 0, '-1'
	return 0
end

function does.A(_, item)
	local r = item.record
	call('XADD', r.log, item.a .. '-0', 'v', item.value)
	r.l = r.l + 1
	call('HSET', r.name, 'l', r.l)
	if r.l == 1 then call('PEXPIREAT', r.log, call('PEXPIRETIME', r.name)) end
	return 0
end

function does.E(_, item)
	local rows, r = {}, item.record
	if r.l == 0 then return rows end
	for _, entry in ipairs(call('XRANGE', r.log, '(' .. item.a .. '-0', '+', 'COUNT', item.b)) do
		rows[#rows + 1] = entry[1]
		rows[#rows + 1] = entry[2][2]
	end
	return rows
end

-- Members whose record is gone, or has another due by now, are put right on the way.
function does.U(piece, item)
	local index, rows, kept, most = piece.prefix .. 'due:' .. item.kind, {}, 0, tonumber(item.b)
	local wrong = 0
	while kept < most and wrong < SCAN_MORE do
		local found = call('ZRANGE', index, '-inf', piece.now, 'BYSCORE', 'LIMIT', kept, most - kept, 'WITHSCORES')
		if #found == 0 then break end
		for i = 1, #found, 2 do
			local group, key = string.match(found[i], '^([^:]*):(.*)$')
			local name = piece.prefix .. '{' .. (group or '') .. '}:' .. item.kind .. ':' .. (key or '')
			local f = call('HMGET', name, 'n', 'd', 'v')
			if f[1] and tonumber(f[2]) == tonumber(found[i + 1]) then
				kept = kept + 1
				rows[#rows + 1] = {key, f[1], f[2], f[3]}
			else
				wrong = wrong + 1
				if f[1] and f[2] ~= '-1' then
					call('ZADD', index, f[2], found[i])
				else
					call('ZREM', index, found[i])
				end
			end
		end
	end
	return rows
end

function does.T(piece, item)
	call('PUBLISH', piece.prefix .. 'tell:' .. item.key, piece.sender .. item.value)
	return 0
end

local function piece_run(piece, args)
	local items = items_open(piece, args)
	local reply = {piece.now, items_state(items)}
	if reply[2] ~= 'ok' then return reply end
	for _, item in ipairs(items) do reply[#reply + 1] = does[item.verb](piece, item) end
	return reply
end

local function piece_of(args)
	return {prefix = args[1], group = args[2], sender = args[3], now = time_now(), records = {}}
end

local function look(_, args)
	return piece_run(piece_of(args), args)
end

-- A piece is done once: sent again, its first reply is repeated; sent by somebody who has given it up meanwhile, or has
-- gone on to others, it is refused.
local function once(_, args)
	local piece = piece_of(args)
	local memory, slot, sequence = piece.prefix .. 'once:' .. piece.sender, args[4], args[5]
	local last = call('HGET', memory, slot)
	if last then
		local kept = cmsgpack.unpack(last)
		if kept[1] == sequence then
			kept[2][1] = piece.now
			call('PEXPIRE', memory, 2 * REMEMBER_FOR) -- a write, which WAIT then waits for, and all before it
			return kept[2]
		end
		if tonumber(kept[1]) > tonumber(sequence) then return {piece.now, 'late'} end
	end
	if piece.now > tonumber(args[6]) then return {piece.now, 'late'} end
	local reply = piece_run(piece, args)
	if reply[2] == 'ok' then
		local kept = cmsgpack.pack({sequence, reply})
		if #kept > REMEMBERED then kept = cmsgpack.pack({sequence, {piece.now, 'forgotten'}}) end
		call('HSET', memory, slot, kept)
		if call('PTTL', memory) < REMEMBER_FOR then call('PEXPIRE', memory, 2 * REMEMBER_FOR) end
	end
	return reply
end

-- Keys that a newer gateway has added are left alone; what only newer ones may read is refused.
local function layout_fits(prefix)
	local kept = call('HMGET', prefix .. 'layout', 'format', 'reader')
	if tonumber(kept[2] or '0') > FORMAT then return false end
	if tonumber(kept[1] or '0') < FORMAT then call('HSET', prefix .. 'layout', 'format', FORMAT, 'reader', READER) end
	return true
end

-- Whoever goes over from one master to another counts that there: arguments prefix, and what it has to be at least.
local function join(_, args)
	if not layout_fits(args[1]) then return {time_now(), 'newer'} end
	local name, least = args[1] .. 'generation', tonumber(args[2])
	local generation = tonumber(call('GET', name) or '0')
	if generation < least then
		generation = least
		call('SET', name, generation)
	end
	return {time_now(), generation}
end

-- Reads; reads that put an index right; what makes room or takes none, where the server's memory is full; what takes room.
redis.register_function{function_name = 'snowgate_' .. VERSION .. '_look', callback = look, flags = {'no-writes'}}
redis.register_function{function_name = 'snowgate_' .. VERSION .. '_scan', callback = look, flags = {'allow-oom'}}
redis.register_function{function_name = 'snowgate_' .. VERSION .. '_free', callback = once, flags = {'allow-oom'}}
redis.register_function{function_name = 'snowgate_' .. VERSION .. '_take', callback = once}
redis.register_function{function_name = 'snowgate_' .. VERSION .. '_join', callback = join, flags = {'allow-oom'}}
