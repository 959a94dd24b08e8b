// connections: more of them than an instance may have, silent ones, and none left to have: others come through, everybody is told.
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { Client, serve, sleep, until } from './lib.mjs';

const quickly = { timeout: 60000 };
const namespaces = 'namespaces: {/: {events: {drawing: {to: others}}}}\n';
const start = (limits, more = {}) => serve(`limits: {${limits}}\n${namespaces}`, { args: ['--broker', 'memory'], ...more });
const get = (where) => `GET ${where} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const handshake = 'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

// A connection that sends these bytes and keeps what comes.
async function connection(port, bytes = '', host = '127.0.0.1') {
  const one = { got: '', ended: false, socket: net.connect(port, host) };
  one.socket.on('data', (data) => (one.got += data.toString('latin1')));
  one.socket.on('error', () => (one.ended = true));
  one.socket.on('close', () => (one.ended = true));
  await new Promise((resolve) => one.socket.on('connect', resolve).on('close', resolve));
  if (bytes) one.socket.write(bytes);
  return one;
}

const many = (count, port, bytes) => Promise.all(Array.from({ length: count }, () => connection(port, bytes)));
const end = (all) => all.forEach((one) => one.socket.destroy());

async function asked(port, where) {
  const one = await connection(port, get(where));
  await until(`${where} is answered`, () => one.got.includes('\r\n\r\n') || one.ended);
  one.socket.destroy();
  return one.got;
}

test('beyond the bound everybody is told, and /health goes on', quickly, async () => {
  const instance = await start('connections: 20, crowded_head_timeout: 10m, crowded_connect_timeout: 10m');
  const held = await many(20, instance.port, handshake);
  try {
    await until('all are upgraded', () => held.every((one) => one.got.includes('101')));
    const refused = await asked(instance.port, '/');
    assert.match(refused, /^HTTP\/1\.1 503 [^]*Retry-After: 5\r\n[^]*`limits: connections`/);
    assert.match(await asked(instance.port, handshake.slice(4, handshake.indexOf(' HTTP'))), /^HTTP\/1\.1 503 /);
    assert.match(await asked(instance.port, '/health'), /^HTTP\/1\.1 200 [^]*alive\n$/);
    // More than there are spare places, and none of them says anything.
    const silent = await many(400, instance.port);
    for (let n = 0; n < 20; n++) assert.match(await asked(instance.port, '/health'), /alive\n$/);
    end(silent);
    end(held.splice(0, 10));
    await until('there is room', async () => (await asked(instance.port, '/ready')).startsWith('HTTP/1.1 200'));
    assert.ok((await instance.metric(`refusals_total\\{reason="connections_full"\\}`)) >= 2);
    assert.match(instance.output, /"reason":"connections_full"/);
  } finally {
    end(held);
    await instance.close();
  }
});

test('one address does not take everything', quickly, async () => {
  const instance = await start('connections: 100, connections_per_address: 10');
  const held = await many(10, instance.port, handshake);
  try {
    await until('all are upgraded', () => held.every((one) => one.got.includes('101')));
    assert.match(await asked(instance.port, '/'), /^HTTP\/1\.1 429 [^]*Retry-After: 5\r\n[^]*`limits: connections_per_address`/);
    assert.match(await asked(instance.port, '/health'), /alive\n$/);
    const neighbour = await connection(instance.port, handshake, '127.0.0.2').catch(() => null);
    void neighbour;
    held.pop().socket.destroy();
    await until('the place is free', async () => (await asked(instance.port, '/ready')).startsWith('HTTP/1.1 200'));
    neighbour?.socket.destroy();
  } finally {
    end(held);
    await instance.close();
  }
});

test('while there are many, those that say nothing go first', quickly, async () => {
  const instance = await start('connections: 50, crowded_head_timeout: 600ms, crowded_connect_timeout: 1s, head_timeout: 10m');
  const client = new Client(instance.url);
  let held = [];
  try {
    await client.connected();
    held = [...await many(15, instance.port), ...await many(10, instance.port, 'GET / HTTP/1.1\r\nX-Slow: '), ...await many(10, instance.port, handshake)];
    await sleep(1500);
    assert.ok(held.every((one) => !one.ended), 'few are left alone');
    held.push(...await many(14, instance.port, handshake));
    await until('enough have gone', () => held.filter((one) => one.ended).length >= 9);
    await sleep(1500);
    const ended = held.filter((one) => one.ended);
    assert.ok(ended.length < 25, `${ended.length}: not more than it takes`);
    assert.ok(held.slice(0, 9).every((one) => one.ended), 'the oldest first');
    assert.match(held[0].got, /^HTTP\/1\.1 408 [^]*head_timeout/);
    assert.ok(client.socket.connected);
    assert.equal(client.connects.length, 1);
    // Sessions without a namespace, when there is nobody else.
    await until('a session went', async () => held.push(...await many(10, instance.port, handshake)) && (await sleep(500), await instance.metric(`closes_total\\{reason="connect_packet_timeout_crowded"\\}`)) > 0);
    assert.ok((await instance.metric(`closes_total\\{reason="head_timeout_crowded"\\}`)) > 0);
    assert.ok(client.socket.connected);
    const other = new Client(instance.url);
    await other.connected();
    other.close();
  } finally {
    client.close();
    end(held);
    await instance.close();
  }
});

test('a request head is waited for so long and no longer', quickly, async () => {
  const instance = await start('head_timeout: 300ms');
  try {
    const one = await connection(instance.port, 'GET / HTTP/1.1\r\n');
    const drip = setInterval(() => one.socket.write('X: y\r\n'), 50);
    await until('it ends', () => one.ended, 5000);
    clearInterval(drip);
    assert.match(one.got, /^HTTP\/1\.1 408 /);
    // Between requests the end comes without a word, which might be taken for the answer to the next one.
    const other = await connection(instance.port, get('/health'));
    await until('it ends, too', () => other.ended, 5000);
    assert.match(other.got, /^HTTP\/1\.1 200 [^]*alive\n$/);
    assert.equal(await instance.metric(`refusals_total\\{reason="head_late"\\}`), 1);
  } finally {
    await instance.close();
  }
});

test('few descriptors: a reserve is kept, and the bound may not be higher than they allow', quickly, async () => {
  const within = ['sh', '-c', 'ulimit -n 128; exec "$@"', 'sh'];
  await assert.rejects(start('connections: 120', { within }), /limits: connections: 120 is more than the 96 for which this process has descriptors[^]*ulimit -n/);
  const instance = await start('crowded_head_timeout: 10m', { within });
  const held = await many(96, instance.port);
  try {
    await until('it is full', async () => (await asked(instance.port, '/')).startsWith('HTTP/1.1 503'));
    held.push(...await many(300, instance.port));
    for (let n = 0; n < 10; n++) assert.match(await asked(instance.port, '/health'), /alive\n$/);
    // The same when they all come in one turn of the loop, with the question behind them.
    process.kill(instance.pid, 'SIGSTOP');
    held.push(...await many(300, instance.port));
    const answer = asked(instance.port, '/health');
    process.kill(instance.pid, 'SIGCONT');
    assert.match(await answer, /alive\n$/);
    assert.doesNotMatch(instance.output, /descriptors_gone/);
  } finally {
    end(held);
    await instance.close();
  }
});

test('no descriptors at all: the one that was kept back tells it, and nothing spins', quickly, async () => {
  const instance = await start('connections: 90, crowded_head_timeout: 10m', { within: ['sh', '-c', 'ulimit -n 128; exec "$@"', 'sh'] });
  const { execFileSync } = await import('node:child_process');
  const cpu = async () => {
    const { readFileSync } = await import('node:fs');
    const fields = readFileSync(`/proc/${instance.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  let held = [];
  try {
    held = await many(60, instance.port);
    await until('they are there', async () => (await instance.metric('connections')) >= 60);
    execFileSync('prlimit', ['--pid', String(instance.pid), '--nofile=40:']); // as if others had taken them
    assert.match(await asked(instance.port, '/health'), /alive\n$|^HTTP\/1\.1 503 [^]*descriptors/); // as the request was there already, or not
    assert.match(await asked(instance.port, '/ready'), /^HTTP\/1\.1 503 [^]*descriptors/);
    const before = await cpu();
    held.push(...await many(40, instance.port));
    await sleep(1000);
    assert.ok((await cpu()) - before < 30, 'it does not spin');
    assert.match(instance.output, /"reason":"descriptors_gone"/);
    execFileSync('prlimit', ['--pid', String(instance.pid), '--nofile=128:']);
    await until('there are some again', async () => (await asked(instance.port, '/ready')).startsWith('HTTP/1.1 200'));
  } finally {
    end(held);
    await instance.close();
  }
});
