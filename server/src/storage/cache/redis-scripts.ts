/**
 * The scripts that keep an older value from replacing a newer one in Redis. A value carries the moment (Redis's clock, in
 * microseconds, 16 digits) at which its lease was given: before it was read from the database. Storing needs the lease still to
 * be there; a change deletes value and lease. So a read that began before a change cannot be stored after it, whichever server it
 * was on, and neither can it after Redis lost or threw out the lease.
 *
 * KEYS: value, lease.
 */

/**
 * ARGV: the lease from which values are trusted, the age up to which any counts as fresh, 16 random letters, life of the lease in ms,
 * the age up to which a trusted one counts as fresh, the lease from which one that is not trusted may be told.
 * Answers [value, age, 1 trusted or 0 young] or [false, lease, older value or false, its age].
 */
export const fetchScript = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local found = redis.call('GET', KEYS[1])
local age = -1
if found then
  local leased = tonumber(string.sub(found, 1, 16))
  age = now - leased
  if age >= 0 then
    if leased >= tonumber(ARGV[1]) and age <= tonumber(ARGV[5]) then return {string.sub(found, 17), age, 1} end
    if age <= tonumber(ARGV[2]) and leased >= tonumber(ARGV[6]) then return {string.sub(found, 17), age, 0} end
  end
end
local lease = redis.call('GET', KEYS[2])
if not lease then
  lease = string.format('%016.0f', now) .. ARGV[3]
  redis.call('SET', KEYS[2], lease, 'PX', ARGV[4])
end
if age >= 0 and tonumber(string.sub(found, 1, 16)) >= tonumber(ARGV[6]) then return {false, lease, string.sub(found, 17), age} end
return {false, lease, false, 0}
`;

/** ARGV: the lease, the value, its life in ms. Answers 1 where it was stored. */
export const storeScript = `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], string.sub(ARGV[1], 1, 16) .. ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
`;
