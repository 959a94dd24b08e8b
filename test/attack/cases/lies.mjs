// A Redis with one wrong answer: the link is dropped with a reason, the instance lives and does not spin.
import { sleep } from '../wire.mjs';
import { cpuSeconds } from '../world.mjs';

const config = 'namespaces:\n  /:\n    log: {entries: 1000, bytes: 1MiB, age: 1h}\n    presence: true\n    replay: all\n'
  + '    events: {say: {to: others, log: true}, join: {join: 0}, past: {history: 0}, who: {who: 0}}';
const most = '18446744073709551615';

const claims = (rooms, { sid = 'S'.repeat(20), generation = '2' } = {}) => (name) => (name === 'lease_claim' ? [generation, sid, '', rooms, '', '120000', 1] : undefined);
const opens = (...answer) => (name) => (name === 'open' ? answer : undefined);
const entry = (id, { passing = '0 0', audience = '', body = '["say","x"]' } = {}) => [id, ['p', passing, 'a', audience, 'b', body]];
const reads = (last, ...entries) => (name) => (name === 'read' ? [last, 0, 0, ...entries] : undefined);
const inbox = (message) => (name, call, answer, redis) => void (name === 'pulse' && redis.push(redis.inbox, message));
const pushes = (...messages) => (name, call, answer, redis) => void (name === 'pulse' && messages.forEach((one) => redis.push('sennit:{0}:push:/', one)));
const answers = (wanted, answer) => (name) => (name === wanted ? answer : undefined);
const pid = 'P'.repeat(20);

const leases = {
  'a room of 2000 bytes': claims(`0 0 0 - 0 2000 ${'A'.repeat(2000)}`), 'a room of 0 bytes': claims('0 0 0 - 0 0 '), 'one room twice': claims('0 0 0 - 0 1 /0 0 - 0 1 /'),
  'ended rooms only': claims('0 50 50 60 0 1 /'), 'no rooms': claims('0 '), 'nothing': claims(''), 'a sid of quotes': claims('0 0 0 - 0 1 /', { sid: '"'.repeat(20) }),
  'a short sid': claims('0 0 0 - 0 1 /', { sid: 'x' }), 'an end before its start': claims('0 99 99 3 0 1 /'), 'the largest generation': claims('0 0 0 - 0 1 /', { generation: most }),
  'the largest numbers': claims(`${most} ${most} ${most} - ${most} 1 /`), 'a length beyond it': claims(`0 0 0 - 0 ${most} /`), 'another namespace\'s room': claims('0 0 0 - 0 2 /x'),
  'ten thousand rooms': claims(`0 ${Array.from({ length: 10000 }, (_, i) => `0 0 - 0 ${3 + String(i).length} /,r${i}`).join('')}`),
};
const others = {
  'inbox: an integer': inbox(5), 'inbox: nil': inbox(null), 'inbox: a list': inbox(['a']), 'inbox: nothing': inbox(''), 'inbox: fence': inbox('fence 99 99 99\n/'),
  'inbox: claimed': inbox(`claimed ${pid} ${most}`), 'inbox: present': inbox(`present 1 ${most} ${most}\n`), 'inbox: noise': inbox('\0\0\n\n  \xff'),
  'log: seqs that fall': reads('100', entry('50-1'), entry('40-1'), entry('50-1')), 'log: seq 0': reads('100', entry('0-0')), 'log: always the same, more to come': reads('100', entry('5-1')),
  'log: nothing, though there is more': reads('100'), 'log: an empty body': reads('100', entry('50-1', { body: '' })), 'log: a body that is no array': reads('100', entry('50-1', { body: 'x' })),
  'log: an audience that is none': reads('100', entry('50-1', { audience: '!999999999999999999 x' })), 'log: the largest seq': reads(most, entry(`${most}-1`)), 'log: an id that is none': reads('100', entry('x')),
  'log: fields that are none': reads('100', ['50-1', ['p', '0 0']]), 'log: nil': answers('read', null),
  'epoch: empty': opens('', '0', '', '0'), 'epoch: a quote': opens('a"b', '0', '', '0'), 'epoch: long': opens('e'.repeat(5000), '0', '', '0'), 'epoch: nil': opens(null, '0', '', '0'),
  'counter: the largest': opens('e', most, '', '0'), 'counter: none': opens('e', 'x', '', '0'),
  'push: an empty body': pushes('fakeepo1 1\n101 100 0 0\n'), 'push: lengths beyond it': pushes(`fakeepo1 1\n101 100 5 ${most}\nx`), 'push: one byte, unlogged': pushes('fakeepo1 1\n0 0 0 1\nx'),
  'push: the largest seq': pushes(`fakeepo1 1\n${most} 100 0 2\n[]`, `fakeepo1 1\n${most} 100 0 2\n[]`), 'push: presence of nobody': pushes('+1 0\n', '-1 0\n', '+99 5\nabcde{}'),
  'push: a digest far ahead': pushes('^fakeepo1 99999999'), 'push: no channel of ours': (name, call, answer, redis) => void (name === 'pulse' && redis.push('other', 'fakeepo1 1\n101 100 0 2\n[]')),
  'publish: a number too high': answers('publish', [1, 99]), 'publish: nil': answers('publish', null), 'publish: text': answers('publish', 'ok'),
  'pulse: an error': answers('pulse', { raw: '-ERR no\r\n' }), 'pulse: text': answers('pulse', 'x'), 'lease_write: text': answers('lease_write', 'x'), 'present_list: nil': answers('present_list', null),
  'any: bytes that are no RESP': answers('pulse', { raw: '\0\x01garbage\r\n' }), 'any: a list in a list in a list': answers('read', [[[[[[[[['x']]]]]]]]]),
};

async function run(world) {
  const auth = { pid, offset: `1${world.fake.epoch}.1k` }, lease = world.one.name.startsWith('lies, lease');
  const client = await world.open({ nsp: null }).catch(() => null);
  await client?.join('/', lease ? auth : undefined, 700);
  if (client?.nsp) {
    for (const packet of [['join', 'r'], ['past', null, { limit: 10 }], ['who', null, {}], ['say', 1]]) client.send(client.packet(packet, 1));
    world.requests += 4;
  }
  await sleep(1200);
  world.expect(world.fake.told > 0, 'the lie was never told');
  if (world.server.status !== null) return;
  const cpu = cpuSeconds(world.server.pid), { calls } = world.fake, before = calls.read ?? 0;
  await sleep(700);
  if (world.server.status !== null) return;
  const share = (100 * (cpuSeconds(world.server.pid) - cpu)) / 0.7, rate = ((calls.read ?? 0) - before) / 0.7;
  world.expect(share < 60 && rate < 500, `it spins: ${share.toFixed(0)} % CPU, ${rate.toFixed(0)} reads/s`);
  world.expect(world.fake.links < 40, `${world.fake.links} links within two seconds`);
}

const lies = { kind: 'lies', calm: false, config, run, expects: 'the link is dropped with a reason, the instance lives and does not spin' };

export default [
  ...Object.entries(leases).map(([name, fake]) => ({ ...lies, name: `lies, lease: ${name}`, fake })),
  ...Object.entries(others).map(([name, fake]) => ({ ...lies, name: `lies, ${name}`, fake })),
];
