// Live fuzzers: bytes drawn from the seed, as near to the grammars as may be, at a real instance or a real `sennit up`, for as long as it is
// given. Nobody crashes, nobody else is harmed, and nothing accepted is lost.
import { Client, frame, redisAsk, repeat, sleep, text, Wire } from '../wire.mjs';

const config = 'namespaces:\n  /: &all\n    auth: none\n    log: {entries: 1000, bytes: 1MiB, age: 1h}\n    replay: 5\n    presence: {data: about}\n'
  + '    rooms: {"n*": {replay: all, presence: true}, "*-log": {log: {entries: 3}, replay: 2}}\n'
  + '    events: {say: {to: others, log: true, id: 0.id}, wave: {to: everyone}, join: {join: 0}, leave: {leave: 0}, talk: {to: room, room: 0, log: true, except: 2}, '
  + 'tell: {to: room-others, room: 0, log: {entries: 5}}, dm: {to: socket, socket: 0, log: true}, past: {history: 0}, who: {who: 0}}\n  /x: *all\n  /plain:\n    events: {say: {to: others}}';

const rooms = ['a', 'n1', 'n\0', 'x-log', '', '*', '/', '@', ',', '\ud83d\ude00', 'r'.repeat(300), '\u202e', '"', '\\'];
const odd = [null, true, 0, -1, 1e308, 1.5, 9007199254740993, '', '\0', '\u2028', [], {}, [[]], { id: 'x' }, { id: 1 }, [null], ['a', 'a']];

// Something of JSON, of some depth.
function value(chance, depth = 0) {
  const kind = chance.below(depth > 3 ? 6 : 9);
  if (kind < 3) return chance.pick(odd);
  if (kind < 5) return chance.pick(rooms);
  if (kind === 5) return 'v'.repeat(chance.below(300));
  if (kind === 6) return Array.from({ length: chance.below(5) }, () => value(chance, depth + 1));
  return Object.fromEntries(Array.from({ length: chance.below(4) }, () => [chance.pick(['id', 'limit', 'after', 'before', 'cursor', 'about', 'x']), value(chance, depth + 1)]));
}

const list = (chance) => Array.from({ length: chance.below(40) }, () => chance.pick(rooms));

function event(chance, known) {
  const name = chance.pick(['say', 'wave', 'join', 'leave', 'talk', 'tell', 'dm', 'past', 'who', 'no', 'connect', 'presence', '']);
  const room = chance.below(4) === 0 ? value(chance) : chance.pick(rooms);
  if (name === 'join' || name === 'leave') return [name, room];
  if (name === 'talk' || name === 'tell') return [name, chance.below(5) === 0 ? list(chance) : room, value(chance), chance.pick([known.sid, list(chance), value(chance)])];
  if (name === 'dm') return [name, chance.pick([known.sid, known.pid, value(chance)]), value(chance)];
  if (name === 'past') return [name, chance.pick([null, room]), { limit: chance.pick([1, 10, 1000, -1, 'x']), after: chance.pick([undefined, known.token, value(chance)]), before: chance.pick([undefined, known.token]) }];
  if (name === 'who') return [name, chance.pick([null, room]), { limit: chance.below(200), cursor: chance.pick([undefined, '0', '18446744073709551615', 'x']) }];
  return [name, value(chance), value(chance)];
}

// A packet of Socket.IO, whole or with a byte or two that do not belong.
function packet(chance, known) {
  const nsp = chance.pick(['', '', '', '/x,', '/plain,', '/no,', '/', ',', '/\0,']), id = chance.pick(['', '', '1', '12', '0', '999999999999999999', 'x']);
  const kind = chance.below(20);
  let said;
  if (kind < 14) said = `42${nsp}${id}${JSON.stringify(event(chance, known))}`;
  else if (kind === 14) said = `40${nsp}${chance.below(2) ? JSON.stringify({ pid: known.pid, offset: known.token, about: value(chance) }) : ''}`;
  else if (kind === 15) said = `41${nsp}`;
  else if (kind === 16) said = `43${nsp}${id}[]`;
  else if (kind === 17) said = chance.pick(['2', '3', '1', '5', '6', '4', '', '45-["x"]', '451-["x",{"_placeholder":true,"num":0}]', '44{}', '3probe']);
  else if (kind === 18) said = `42${nsp}${'['.repeat(chance.below(3000))}`;
  else said = `42["${'\\u0041'.repeat(chance.below(200))}",1]`;
  if (chance.below(12) !== 0) return said;
  const bytes = Buffer.from(said);
  for (let i = chance.below(3); i >= 0 && bytes.length; i--) bytes[chance.below(bytes.length)] = chance.below(256);
  return bytes;
}

// In one frame or several, masked or not quite as it should be.
function framed(chance, said) {
  const mask = chance.below(2) ? chance.below(2 ** 32) : 0, bytes = Buffer.from(said);
  if (chance.below(60) === 0) return frame(chance.below(16), bytes, { rsv: chance.below(8), fin: chance.below(2) === 0, masked: chance.below(4) !== 0, mask });
  if (chance.below(8) !== 0 || bytes.length < 3) return frame(1, bytes, { mask });
  const at = 1 + chance.below(bytes.length - 1);
  return Buffer.concat([frame(1, bytes.subarray(0, at), { fin: false, mask }), ...(chance.below(2) ? [frame(9, 'p')] : []), frame(0, bytes.subarray(at), { mask })]);
}

// Prints each action before it begins, so that a seed can be followed.
async function clients(world, { count = 6 } = {}) {
  const { chance } = world, end = Date.now() + world.seconds * 1000, known = { sid: 'S'.repeat(20), pid: 'P'.repeat(20), token: '1abcdefgh.1' };
  const one = async () => {
    while (Date.now() < end && world.server.status === null) {
      const client = new Client(world.port), resumes = chance.below(2) === 0;
      client.heardOf = (message) => {
        client.messages.length > 50 && client.messages.splice(0);
        const token = message.match(/"(1[\w-]{8}\.[0-9a-z]+)"\]$/)?.[1];
        if (token) known.token = token;
      };
      if (!(await client.wait(() => client.status !== null, 2000)) || client.status !== 101) {
        client.close();
        continue;
      }
      const joined = await client.join('/', resumes ? { pid: known.pid, offset: known.token, about: value(chance) } : undefined).catch(() => null);
      if (joined) Object.assign(known, { sid: client.sid, pid: client.pid });
      for (let i = chance.below(400); i > 0 && !client.closed && Date.now() < end; i--) {
        const batch = Buffer.concat(Array.from({ length: 1 + chance.below(6) }, () => framed(chance, packet(chance, known))));
        world.requests++;
        if (!(await client.send(batch, 1500))) break;
        if (chance.below(5) === 0) await sleep(1);
      }
      client.close();
    }
  };
  await Promise.all(Array.from({ length: count }, one));
}

function head(chance) {
  const target = chance.pick(['/', '/health', '/ready', '/metrics', '/socket.io/?EIO=4&transport=websocket', '/socket.io/?EIO=4&transport=polling', '/socket.io/socket.io.js', '/..%2f..%2fetc/passwd', '/%00',
    `/${'a'.repeat(chance.below(9000))}`, '*', 'http://x/health', '//', '/?'.repeat(200)]);
  const fields = ['Host: a', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Content-Length: 5', 'Content-Length: -1', 'Transfer-Encoding: chunked',
    'Expect: 100-continue', 'Origin: null', 'Range: bytes=0-', 'If-None-Match: *', ': x', 'X\0: y', `X: ${'y'.repeat(chance.below(9000))}`, ' folded', 'Sec-WebSocket-Protocol: a,b', 'Connection: close'];
  const some = fields.filter(() => chance.below(3) === 0);
  const end = chance.pick(['\r\n', '\r\n', '\r\n', '\n', '\r']);
  return `${chance.pick(['GET', 'GET', 'HEAD', 'POST', 'PRI', 'G\0T', 'OPTIONS'])} ${target} HTTP/${chance.pick(['1.1', '1.1', '1.0', '2.0', '9'])}${end}${some.map((one) => one + end).join('')}${end}`;
}

async function heads(world) {
  const { chance } = world, end = Date.now() + world.seconds * 1000;
  const one = async () => {
    while (Date.now() < end && world.server.status === null) {
      const wire = new Wire(world.port);
      wire.came = () => {};
      if (!(await wire.connected.catch(() => null))) continue;
      for (let i = chance.below(20); i >= 0 && !wire.closed; i--) {
        const bytes = Buffer.from(head(chance), 'latin1');
        if (chance.below(8) === 0) bytes[chance.below(bytes.length)] = chance.below(256);
        world.requests++;
        if (!(await wire.send(chance.below(6) === 0 ? bytes.subarray(0, chance.below(bytes.length)) : bytes, 1000))) break;
      }
      if (chance.below(3) === 0) await wire.ended(20);
      wire.close();
    }
  };
  await Promise.all(Array.from({ length: 6 }, one));
}

// Sessions that resume with pids and offsets of their own, of others, and of nobody.
async function resumes(world) {
  const { chance } = world, end = Date.now() + world.seconds * 1000, pids = ['P'.repeat(20), 'x', '', 5, null], tokens = ['1abcdefgh.1', '', 'x', '1.', '2abcdefgh.zzz', 7, null, 'o'.repeat(5000)];
  const one = async () => {
    while (Date.now() < end && world.server.status === null) {
      const client = await Client.open(world.port, { nsp: null }).catch(() => null);
      if (!client) continue;
      client.heardOf = (message) => {
        const token = message.match(/"(1[\w-]{8}\.[0-9a-z]+)"\]$/)?.[1];
        if (token && tokens.push(token) > 100) tokens.splice(10, 50);
      };
      for (const nsp of chance.below(3) === 0 ? ['/', '/x'] : ['/']) {
        const joined = await client.join(nsp, { pid: chance.pick(pids), offset: chance.pick(tokens), about: value(chance) }).catch(() => null);
        if (joined && pids.push(client.pid) > 60) pids.splice(5, 30);
      }
      client.send(Buffer.concat([text('42["join","n1"]'), text('42["talk","n1","x",[]]'), text('42["say",1]')]));
      world.requests += 4;
      if (chance.below(2)) await sleep(chance.below(20));
      chance.below(2) ? client.close() : client.socket.resetAndDestroy();
    }
  };
  await Promise.all(Array.from({ length: 4 }, one));
}

// Meanwhile Redis stands still now and then, and loses links.
const troubled = (attack) => async (world) => {
  let going = true;
  const trouble = (async () => {
    while (going) {
      await sleep(300 + world.chance.below(500));
      if (!going) break;
      if (world.chance.below(2)) {
        process.kill(world.redis.pid, 'SIGSTOP');
        await sleep(world.chance.below(700));
        process.kill(world.redis.pid, 'SIGCONT');
      } else await redisAsk(world.redis.port, 'CLIENT', 'KILL', 'TYPE', world.chance.pick(['pubsub', 'normal']));
    }
  })();
  await attack(world);
  going = false;
  await trouble;
};

// Keys come and go, and change their types.
const lyingKeys = (attack) => async (world) => {
  let going = true;
  const trouble = (async () => {
    while (going) {
      await sleep(100);
      const keys = ((await redisAsk(world.redis.port, 'KEYS', 'sennit:*')) ?? []).filter((name) => !name.includes('/calm') && !/state$|publisher/.test(name)).sort();
      const key = keys.length && world.chance.pick(keys);
      if (!key) continue;
      await redisAsk(world.redis.port, 'DEL', key);
      if (world.chance.below(3) === 0) await redisAsk(world.redis.port, 'SET', key, 'x', 'PX', 500);
      if (world.chance.below(3) === 0) await redisAsk(world.redis.port, 'PUBLISH', 'sennit:{0}:push:/', world.chance.pick(['x', '', '1 2\n3', `fakeepo1 1\n${'9'.repeat(20)} 0 0 2\n[]`]));
    }
  })();
  await attack(world);
  going = false;
  await trouble;
};

const live = { kind: 'live', live: true, config, redisMb: 96, expects: 'nobody crashes, nobody else is harmed, nothing accepted is lost' };

export default [
  { ...live, name: 'live: packets, memory', run: (world) => clients(world) },
  { ...live, name: 'live: packets, redis', redis: true, run: (world) => clients(world) },
  { ...live, name: 'live: heads', run: heads },
  { ...live, name: 'live: resumes, redis', redis: true, run: resumes },
  { ...live, name: 'live: resumes, memory', run: resumes },
  { ...live, name: 'live: packets, troubled redis', redis: true, acks: false, run: troubled((world) => clients(world)) },
  { ...live, name: 'live: packets, lying keys', redis: true, acks: false, run: lyingKeys((world) => clients(world)) },
  { ...live, name: 'live: packets, through up', up: true, run: (world) => clients(world) },
  { ...live, name: 'live: heads, through up', up: true, run: heads },
];
