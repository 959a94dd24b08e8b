// firestore: instances that share a database of Firestore and nothing else, on Google's emulator: cuts, and an instance that is killed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import test, { after, before } from 'node:test';
import { firestore, missing } from './firestore.mjs';
import { board, Client, flawless, load, sennit, serve, sleep, temporary, up, until } from './lib.mjs';

const skip = missing() ?? false;
let emulator, env;
before(async () => {
  if (skip) return;
  emulator = await firestore();
  env = emulator.env;
});
after(() => emulator?.close());

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
