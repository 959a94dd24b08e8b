// One client reaches for things that are not its own: other namespaces, rooms and names, and events from before it came.
import { sleep, text } from '../wire.mjs';

const two = 'namespaces:\n  /: &both\n    log: {entries: 100}\n    events: {join: {join: 0}, say: {to: everyone, log: true}, past: {history: 0}}\n  /x: *both';
const rooms = 'namespaces:\n  /:\n    log: {entries: 100}\n    rooms: {"n*": {replay: 5, presence: true}, "*tail": {presence: true}, "a*b*c": {presence: true}}\n'
  + '    events: {join: {join: 0}, leave: {leave: 0}, say: {to: room, room: 0, log: true}, who: {who: 0}, past: {history: 0}, dm: {to: socket, socket: 0, log: true}}';
const exceptions = 'namespaces:\n  /:\n    log: {entries: 100}\n    events: {join: {join: 0}, tell: {to: room-others, room: 0, except: 2, log: true}, all: {to: others, except: 1, log: true}}';
const named = 'namespaces:\n  /:\n    log: {entries: 100}\n    events: {say: {to: everyone, log: true, id: 0.id}}';

async function foreignPid(world) {
  const evil = await world.open();
  const { pid } = evil;
  evil.close();
  await sleep(300);
  const back = await world.open({ nsp: '/x', auth: { pid } });
  world.requests += 2;
  world.expect(back.pid !== pid, 'a pid of / recovers a socket in /x');
  const victims = [await world.open(), await world.open()];
  await victims[0].ask(['say', 'hello']);
  for (const victim of victims) {
    const heard = await victim.heard(200);
    world.expect(heard.some(([, what]) => what === 'hello'), 'a member of / does not get what was said in /, and acknowledged');
    world.expect(victim.messages.every((message) => !message.startsWith('42/x')), 'a member of / gets a frame for /x');
  }
  world.expect(!back.messages.some((message) => message.includes('hello')), 'a client of /x hears what is said in /');
}

// Whichever namespace is joined first, and with several at once on a session.
async function foreignPidTogether(world) {
  const one = await world.open();
  const { pid } = one;
  await one.join('/x');
  const other = one.pid;
  one.close();
  await sleep(200);
  const back = await world.open({ auth: { pid: other, offset: '1abcdefg.1' } });
  world.expect(back.pid !== other, 'a pid of /x recovers a socket in /');
  await back.join('/x', { pid });
  world.expect(back.pid !== pid, 'a pid of / recovers a socket in /x beside another namespace');
  world.requests += 5;
}

async function nulRooms(world) {
  const names = [['n\0\0', true], ['n', true], ['n\0x', true], ['\0n', false], ['x\0tail', true], ['\0', false], ['a\0b\0c', true], ['a\0', false], ['zz', false]];
  for (const [room, fits] of names) {
    const client = await world.open();
    await client.ask(['join', room], { ms: 2000 });
    const present = (await client.heard(200)).some(([event]) => event === 'presence');
    world.expect(present === fits, `room ${JSON.stringify(room)}: a pattern that ${fits ? 'fits does not apply' : 'does not fit applies'}`);
    client.close();
    world.requests++;
  }
}

async function unreadableExceptions(world) {
  const [a, b, c] = [await world.open(), await world.open(), await world.open()];
  for (const one of [a, b, c]) await one.ask(['join', 'r']);
  const many = (count) => [b.sid, ...Array.from({ length: count }, (_, at) => `x${at}`)];
  const lists = { 'one name': b.sid, '32 names': many(31), '33 names': many(32), 'an empty name': [b.sid, ''], 'null among them': [b.sid, null], 'a number': [b.sid, 7],
    'an object': { sid: b.sid }, 'true': true, 'a list in a list': [[b.sid]], 'an unpaired surrogate': [b.sid, '\ud800'], 'an empty text': '' };
  for (const [what, list] of Object.entries(lists)) {
    for (const args of [['tell', 'r', 'secret', list], ['all', 'secret']]) {
      if (args[0] === 'all') args.splice(1, 1, 'secret', list);
      const answer = await a.ask(args[0] === 'all' ? ['all', 'secret', list] : args, { ms: 300 });
      const excepted = (await b.heard(120, 400)).length, other = (await c.heard(60, 300)).length;
      world.requests++;
      const readable = ['one name', '32 names', 'a number', 'an unpaired surrogate'].includes(what);
      if (args[0] === 'tell') world.expect(excepted === 0, `${what}: the excepted one gets it`);
      if (args[0] === 'tell' && readable) world.expect(other === 1 && answer !== null, `${what}: the others get ${other}`);
      if (args[0] === 'tell' && !readable) world.expect(other === 0, `${what}: what cannot be read as exceptions is taken for none (${other} got it)`);
    }
  }
}

// Somebody takes names before their owner does: an acknowledged message must be in the log, or its sender be told.
async function guessedNames(world) {
  const [evil, victim, other] = [await world.open(), await world.open(), await world.open()];
  for (const id of ['stroke-1', 'stroke-2']) {
    await evil.ask(['say', { id, by: 'evil' }]);
    const answer = await victim.ask(['say', { id, by: 'victim' }], { ms: 800 });
    const heard = await other.heard(150);
    world.requests += 2;
    const gone = Array.isArray(answer) && answer.length === 0 && !heard.some(([, what]) => what.by === 'victim');
    // Told to the operator is enough: then the names are his pages' fault.
    world.expect(!gone || /guess/.test(world.server.output), `a message named ${id} is acknowledged and vanishes, for another client used its name first`);
  }
}

async function ownRooms(world) {
  const [victim, evil, friend] = [await world.open(), await world.open(), await world.open()];
  const names = [victim.sid, `@/,${victim.sid}`, `@${victim.sid}`, `/,${victim.sid}`, `,${victim.sid}`];
  for (const name of names) await evil.ask(['join', name], { ms: 500 });
  await friend.ask(['dm', victim.sid, 'for one']);
  world.expect((await victim.heard(200)).length === 1, 'a message to one socket does not come');
  world.expect((await evil.heard(200)).every(([event]) => event !== 'dm'), 'another client reads what is for one socket');
  for (const name of names) {
    const past = evil.closed ? null : await evil.ask(['past', name, {}], { ms: 400 });
    world.expect(!JSON.stringify(past ?? '').includes('for one'), `the past of ${name.replace(victim.sid, 'SID')} shows what is for one socket`);
  }
  world.requests += 2 * names.length + 1;
}

// With a forged offset or cursor, no client reads a room's events from before it joined, nor those of a room that it is not in.
async function forgedOffsets(world) {
  const [speaker, evil] = [await world.open(), await world.open()];
  await speaker.ask(['join', 'closed']);
  const heard = await speaker.ask(['say', 'closed', 'before']) && await speaker.heard(200);
  const token = heard?.[0]?.at(-1);
  if (!world.expect(typeof token === 'string', 'no token to begin with')) return;
  for (const options of [{}, { after: token }, { before: token }, { after: `${token.slice(0, -1)}0` }, { limit: 1e9 }])
    world.expect(!(await evil.ask(['past', 'closed', options], { ms: 300 }))?.[0]?.entries, 'the past of a room is told to a client that is not in it');
  const [epoch] = token.split('.');
  await evil.ask(['join', 'closed']);
  evil.close();
  await sleep(200);
  for (const offset of [`${epoch}.0`, `${epoch}.1`, token, `${epoch}.zzzzzz`, `2${epoch.slice(1)}.0`]) {
    const back = await world.open({ auth: { pid: evil.pid, offset } });
    const old = (await back.heard(150)).filter(([event, , what]) => event === 'say' && what === 'before');
    world.expect(old.length === 0, `offset ${offset === token ? 'of another' : offset.split('.')[1]}: what was said before it joined is read`);
    evil.pid = back.pid;
    back.close();
    world.requests++;
  }
}

async function guessedPids(world) {
  const count = world.quick ? 200 : 1000;
  const client = await world.open({ nsp: null });
  for (let i = 0; i < count && !client.closed; i++) {
    const pid = world.chance.bytes(15).toString('base64url');
    const joined = await client.join('/', { pid });
    world.expect(joined?.pid !== pid, 'a pid that nobody was given recovers something');
    await client.send(text('41'));
    world.requests++;
  }
}

const both = (one) => [{ ...one, name: `${one.name}, memory` }, { ...one, name: `${one.name}, redis`, redis: true }];

export default [
  ...both({ name: 'pid-of-another-namespace', kind: 'reach', expects: 'a pid recovers a socket in its own namespace only', config: two, run: foreignPid }),
  { name: 'pid-of-another-namespace, together', kind: 'reach', expects: 'likewise with both on one session', config: two, redis: true, run: foreignPidTogether },
  { name: 'nul-in-rooms', kind: 'reach', expects: 'a room gets the policy its whole name matches, NULs included', config: rooms, run: nulRooms },
  { name: 'unreadable-exceptions', kind: 'reach', expects: 'what was to be kept from somebody is given to nobody when it cannot be read', config: exceptions, run: unreadableExceptions },
  { name: 'guessed-names', kind: 'reach', expects: 'a name taken by another does not make an acknowledged message vanish', config: named, redis: true, run: guessedNames },
  ...both({ name: 'rooms-of-one', kind: 'reach', expects: 'nobody joins or reads the room of another socket', config: rooms, run: ownRooms }),
  ...both({ name: 'forged-offsets', kind: 'reach', expects: 'no offset or cursor shows what was said before a client joined', config: rooms, run: forgedOffsets }),
  { name: 'guessed-pids', kind: 'reach', expects: 'a pid that was not given out recovers nothing', config: two, redis: true, run: guessedPids },
];
