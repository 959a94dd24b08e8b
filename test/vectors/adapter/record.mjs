// record: has the adapters and the emitter of npm write their messages, without a Redis, and prints each as a line of messages.txt:
// the form, the bytes in hexadecimal, and what the call was. `node test/vectors/adapter/record.mjs`
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { Emitter } from '@socket.io/redis-emitter';
import { Server } from 'socket.io';

const forms = [[/^k-request#/, 'request'], [/^k-response#/, 'response'], [/^k#/, 'broadcast']];
let call = '', sharded = false;

function record(channel, payload) {
  const form = sharded ? 'cluster' : forms.find(([pattern]) => pattern.test(channel))[1];
  // Ids are random: each becomes one that says so, of the same length.
  const text = Buffer.from(payload).toString('latin1').replace(/"(uid|requestId)":"[\w-]+"/g, '"$1":"$1"');
  console.log(`${form} ${Buffer.from(text, 'latin1').toString('hex')} ${call}`);
  return Promise.resolve();
}

// What the adapters call of a client of the package `redis`.
const client = {
  publish: record, sPublish: record, on() {}, listenerCount: () => 2, pSubscribe() {}, subscribe() {}, sSubscribe() {},
  sendCommand: (words) => Promise.resolve([words[2], 2]),
};

async function say(name, action) {
  call = name;
  try {
    await Promise.race([Promise.resolve(action()), new Promise((resolve) => setTimeout(resolve, 20))]);
  } catch (error) {
    if (!/timeout|timed out/.test(error.message)) throw error;
  }
}

async function server(nsp) {
  await say('emit', () => nsp.emit('hello', { a: 1 }, 'w'));
  await say('to', () => nsp.to('room 1').emit('hello'));
  await say('rooms, except, volatile', () => nsp.to(['a', 'b', 7]).except('c').volatile.emit('hello'));
  await say('bytes', () => nsp.emit('bytes', Buffer.from([1, 2, 3]), { deep: [Buffer.from('x')] }));
  await say('undefined, date, numbers', () => nsp.emit('odd', undefined, new Date(0), 1.5, -3, 2 ** 40, null, 'é"\\'));
  await say('emitWithAck', () => nsp.timeout(1000).emitWithAck('ask', 1));
  await say('socketsJoin', () => nsp.in('a').except('b').socketsJoin(['c', 'd']));
  await say('socketsLeave', () => nsp.socketsLeave('c'));
  await say('disconnectSockets', () => nsp.in('a').disconnectSockets());
  await say('disconnectSockets(true)', () => nsp.disconnectSockets(true));
  await say('fetchSockets', () => nsp.in('a').fetchSockets());
  await say('serverSideEmit', () => nsp.serverSideEmit('ev', 1));
  await say('serverSideEmitWithAck', () => nsp.serverSideEmitWithAck('ev'));
}

for (const [create, options] of [[createAdapter, { key: 'k', requestsTimeout: 30 }], [createShardedAdapter, { channelPrefix: 'k' }]]) {
  sharded = create === createShardedAdapter;
  const io = new Server({ adapter: create(client, client, options) });
  await server(io.of('/chat'));
  if (!sharded) await say('allRooms', () => io.of('/').adapter.allRooms());
}
sharded = false;
const emitter = new Emitter(client, { key: 'k' });
await say('emitter', () => emitter.to('a').except('b').emit('hello', 1));
await say('emitter join', () => emitter.of('/chat').in('a').socketsJoin('c'));
await say('emitter disconnect', () => emitter.disconnectSockets(true));
await say('emitter serverSideEmit', () => emitter.serverSideEmit('ev'));
process.exit(0);
