-- Claims a lease. KEYS: lease, state, leases and presences of this life, lives. ARGV: this instance's inbox, its life, epoch ('' for
-- none) and seq of the client's position, pid, the prefix of all keys. Returns nothing when there is no lease, else what claim.lua says.
if not redis.call('ZSCORE', KEYS[4], ARGV[2]) then
    return redis.call('HGET', KEYS[1], 'generation') and redis.error_reply('LIFE has ended') or {} -- no pulse would end what it holds
end
local lease, wrong = lease_claim(ARGV[6], ARGV[5], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]))
return wrong or lease or {}
