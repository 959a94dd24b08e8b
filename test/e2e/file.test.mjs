// file: an instance without a server beside it that keeps its log on disk: it is killed, ended, and started again.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test, { after } from 'node:test';
import { io } from 'socket.io-client';
import { Client, differences, freePort, program, temporary, until } from './lib.mjs';

const config = `
namespaces:
  /:
    auth: none
    log: {entries: 10000}
    replay: all
    presence: true
    events: {drawing: {to: others, log: true, id: 0.id}}
`;
const directory = temporary();
after(() => fs.rmSync(directory, { recursive: true, force: true }));

let files = 0;
async function board(text = config) {
  const file = path.join(directory, `board-${files++}.yaml`);
  fs.writeFileSync(file, text);
  return { file, port: await freePort() };
}

// An instance, and how it was told what broker to use.
async function start({ file, port }, { args = [], env = {} } = {}) {
  const run = program(['serve', '--config', file, '--port', String(port), '--log-format', 'json', ...args], { env: { ...process.env, K_SERVICE: '', REDIS_URL: '', ...env } });
  run.url = `http://127.0.0.1:${port}`;
  await until('it listens', () => {
    if (run.status !== null) throw new Error(`sennit serve ended: ${run.output}`);
    return run.output.includes('"listening"');
  });
  return run;
}

for (const [how, signal] of [['killed', 'SIGKILL'], ['ended', 'SIGTERM']]) {
  test(`clients of an instance that is ${how} resume on the one that takes its place`, async () => {
    const where = await board();
    let run = await start(where);
    assert.match(run.output, /"broker":"file"/);
    const [writer, reader] = [new Client(run.url), new Client(run.url)];
    await Promise.all([writer.connected(), reader.connected()]);
    const sent = [];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 50; i++) sent.push(writer.draw());
      if (round === 2) break; // these are under way when it ends
      await writer.settled();
    }
    await run.stop(signal);
    sent.push(writer.draw());
    run = await start(where);
    await Promise.all([writer.connected(), reader.connected()]);
    await writer.settled();
    await until('the reader has all of it', () => reader.got.length >= sent.length);
    assert.equal(differences(reader, sent), '');
    assert.deepEqual(reader.connects, [false, true]);
    const late = new Client(run.url);
    await until('a late client has the whole drawing', () => late.got.length >= sent.length);
    assert.equal(differences(late, sent), '');
    assert.deepEqual(late.got, reader.got);
    for (const client of [writer, reader, late]) client.close();
    await run.stop();
  });
}

test('a directory has one owner, and a second instance is told what to do', async () => {
  const where = await board();
  const place = path.join(directory, 'named');
  const run = await start(where, { args: ['--broker', `file:${place}`, '--sync', 'batch'] });
  const second = program(['serve', '--config', where.file, '--port', '0', '--broker', `file:${place}`], { env: { ...process.env, K_SERVICE: '' } });
  assert.equal(await second.ended, 1);
  assert.match(second.output, /process \d+ holds it.*stop that process, or give this one another directory \(--broker file:DIR\)/);
  assert.ok(fs.existsSync(path.join(place, 'sennit.db')));
  assert.equal(fs.statSync(path.join(place, 'sennit.db')).mode & 0o77, 0);
  await run.stop();
});

test('the disk is used where a namespace logs and nothing else is named', async () => {
  const logging = await board(), plain = await board('namespaces: {/: {auth: none, events: {hello: {to: others}}}}');
  for (const [where, options, broker] of [
    [plain, {}, 'memory'],
    [logging, { args: ['--broker', 'memory'] }, 'memory'],
    [logging, { env: { XDG_STATE_HOME: '/dev/null' } }, 'memory'],
    [logging, { env: { SENNIT_BROKER: 'memory', K_SERVICE: 'board' } }, 'memory'],
    [logging, { env: { STATE_DIRECTORY: path.join(directory, 'systemd') } }, 'file'],
  ]) {
    const run = await start(where, options);
    assert.equal(JSON.parse(run.output.split('\n').find((line) => line.includes('"listening"'))).broker, broker);
    if (options.env?.XDG_STATE_HOME) assert.match(run.output, /the log is kept in memory.*--broker file:DIR/);
    await run.stop();
  }
  assert.equal(fs.readdirSync(path.join(directory, 'systemd', 'serve')).length, 1);
  const fleet = program(['serve', '--config', logging.file, '--port', '0'], { env: { ...process.env, REDIS_URL: '', K_SERVICE: 'board' } });
  assert.equal(await fleet.ended, 1);
  assert.match(fleet.output, /K_SERVICE is set.*--broker/);
});

test('whoever was present may return, and is not told of', async () => {
  const where = await board();
  let run = await start(where);
  const changes = [];
  const [one, two] = [0, 1].map(() => io(run.url, { transports: ['websocket'], reconnectionDelay: 50, reconnectionDelayMax: 200 }));
  one.on('presence', (change) => changes.push(change));
  await until('both are there', () => one.connected && two.connected);
  await until('one was told', () => changes.length >= 1);
  const before = changes.length, ids = [one.id, two.id];
  await run.stop('SIGKILL');
  run = await start(where);
  await until('both are back', () => one.connected && two.connected);
  assert.ok(one.recovered && two.recovered);
  assert.deepEqual([one.id, two.id], ids);
  await new Promise((resolve) => setTimeout(resolve, 300));
  // The list it is sent after a cut, and nobody who joined or left.
  assert.deepEqual(changes.slice(before).map((change) => Object.keys(change).sort()), [Object.keys(changes[0]).sort()]);
  one.disconnect();
  two.disconnect();
  await run.stop();
});
