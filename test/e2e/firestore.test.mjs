// firestore: instances that share a database of Firestore and nothing else, on Google's emulator: cuts, and an instance that is killed.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import test, { after, before } from 'node:test';
import { board, Client, flawless, freePort, load, sennit, serve, sleep, temporary, up, until } from './lib.mjs';

const jar = '/usr/lib/google-cloud-sdk/platform/cloud-firestore-emulator/cloud-firestore-emulator.jar';

// Why it cannot be tried here; undefined: it can.
function missing() {
  if (!fs.existsSync(jar) || !fs.existsSync('/usr/bin/java')) return "Google's emulator of Firestore is not installed";
  const said = spawnSync(sennit, ['serve', '--broker', 'firestore://demo-sennit?polling=affinity', '--config', '/dev/null'],
    { encoding: 'utf8', timeout: 1000, env: { ...process.env, FIRESTORE_EMULATOR_HOST: '127.0.0.1:1' } });
  return /built without Firestore/.test(said.stderr) ? 'sennit is built without nghttp2 and protobuf-c' : undefined;
}

const skip = missing() ?? false;
let emulator, ended, env;
before(async () => {
  if (skip) return;
  const port = await freePort();
  emulator = spawn('/usr/bin/java', ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xmx512m', '-cp', jar,
    'com.google.cloud.datastore.emulator.firestore.CloudFirestore', '--host', '127.0.0.1', '--port', String(port)], { stdio: 'ignore' });
  ended = once(emulator, 'close');
  env = { FIRESTORE_EMULATOR_HOST: `127.0.0.1:${port}`, SENNIT_BROKER: 'firestore://demo-sennit?polling=affinity' };
  await until('the emulator listens', () => new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  }), 30000);
});
after(async () => {
  if (!emulator) return;
  emulator.kill('SIGKILL');
  await ended;
});

test('on WebSocket through two instances, with cuts and one of them killed: nothing lost, nothing doubled', { skip, timeout: 60000 }, async () => {
  const service = { ...board({ min: 2 }), annotations: { 'autoscaling.knative.dev/minScale': 2 } };
  service.env = { ...service.env, ...env };
  const fleet = await up(service, { ready: 2 });
  try {
    const going = load(fleet.url, '-c', 20, '-r', 40, '--publishers', 3, '-d', 3, '--check', '--settle', 20, '--cut-every', 1, '--reconnect-delay', 100);
    await sleep(1500);
    process.kill((await fleet.instances())[0].pid, 'SIGKILL');
    flawless(await going);
  } finally {
    await fleet.close();
  }
});

test('what an instance logged is there for one that starts when the first has ended', { skip, timeout: 30000 }, async (t) => {
  const config = 'prefix: later\ntransports: [websocket]\nnamespaces:\n  /: {auth: none, log: {entries: 100}, replay: all, events: {drawing: {to: others, log: true, id: 0.id}}}\n';
  const first = await serve(config, { env });
  t.after(() => first.close());
  const client = new Client(first.url);
  t.after(() => client.socket.disconnect());
  await client.connected();
  const id = client.draw();
  await client.settled();
  client.socket.disconnect();
  await first.close();
  const second = await serve(config, { env });
  t.after(() => second.close());
  const late = new Client(second.url);
  t.after(() => late.socket.disconnect());
  await until('the stroke is there', () => late.got.includes(id));
});

test('what it cannot do is refused at the start, with the cure', () => {
  const some = 'namespaces: {/: {auth: none, events: {drawing: {to: others}}}}\n';
  const refused = (url, text) => {
    const directory = temporary();
    fs.writeFileSync(`${directory}/config.yaml`, text);
    const said = spawnSync(sennit, ['serve', '--broker', url, '--config', `${directory}/config.yaml`], { encoding: 'utf8', timeout: 5000 });
    fs.rmSync(directory, { recursive: true });
    assert.notEqual(said.status, 0);
    return said.stderr;
  };
  assert.match(refused('firestore://demo', some), /transports: \[websocket\].*polling=affinity/);
  assert.match(refused('firestore://demo', `transports: [websocket]\nlimits: {max_payload: 4MiB}\n${some}`), /max_payload/);
  assert.match(refused('firestore://UPPER', `transports: [websocket]\n${some}`), /firestore:\/\/PROJECT|built without/);
});
