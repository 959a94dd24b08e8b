// orphans: `sennit up` is killed by SIGKILL, and the next one on its state folder ends all that its programs have started.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { program, serviceYaml, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
// Serves, and has started a grandchild in its process group, and one in a session of its own.
const server = `${process.execPath} -e "const { spawn } = require('node:child_process'); const begin = (detached) => spawn('sleep', ['1000'], { detached, stdio: 'ignore' }).pid; const pids = [process.pid, begin(false), begin(true)]; require('node:http').createServer((request, response) => response.end(JSON.stringify(pids))).listen(process.env.PORT)"`;
// Neither gone nor a zombie that nobody has waited for.
const state = (pid) => {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0];
  } catch {
    return 'gone';
  }
};
const runs = (pid) => !['gone', 'Z', 'X'].includes(state(pid));
const notes = (directory) => fs.readdirSync(path.join(directory, 'control/programs'));

async function killed(t, annotations = {}) {
  const service = await start(serviceYaml({ run: server, annotations: { 'autoscaling.knative.dev/minScale': 1, ...annotations } }), { ready: 1 });
  let pids = [];
  t.after(async () => { // whatever writes in the folder ends before the folder goes
    await service.stop();
    await service.again?.stop();
    for (const pid of pids) if (runs(pid)) process.kill(pid, 'SIGKILL');
    fs.rmSync(service.directory, { recursive: true, force: true });
  });
  pids = await (await fetch(service.url)).json();
  const { redis } = await service.status_();
  if (annotations['run.googleapis.com/cpu-throttling'] !== 'false') await until('it stands still', async () => (await service.status_()).instances[0].cpu === false);
  assert.ok(notes(service.directory).includes(String(pids[0])));
  await service.stop('SIGKILL');
  return { service, pids, redis };
}
async function again(service) {
  const { directory, port, statusPort } = service;
  const run = service.again = program(['up', path.join(directory, 'service.yaml'), '--port', port, '--status-port', statusPort, '--state', directory, '--log-format', 'json']);
  await until('it serves again', () => run.output.includes('"serving"'));
  return run;
}

for (const throttling of ['true', 'false'])
  test(`grandchildren of a killed sennit up end, cpu-throttling ${throttling}`, quickly, async (t) => {
    const { service, pids } = await killed(t, { 'run.googleapis.com/cpu-throttling': throttling });
    await until('its child has died with it', () => !runs(pids[0]));
    assert.ok(runs(pids[1]), 'a grandchild is left, or there is nothing to test');
    const run = await again(service);
    assert.ok(!runs(pids[1]), `${pids[1]} is ${state(pids[1])}`);
    // One that has left the process group is found where there are control groups.
    if (fs.existsSync('/sys/fs/cgroup/memory') && process.getuid() === 0) assert.ok(!runs(pids[2]), `${pids[2]} is ${state(pids[2])}`);
    assert.match(run.output, /an earlier sennit up was killed, and programs of it still ran: they are ended/);
    await until('it serves', async () => (await fetch(service.url).catch(() => ({ ok: false }))).ok);
    const list = notes(service.directory);
    assert.ok(!list.includes(String(pids[0])));
    assert.equal(list.length, 1);
    await run.stop();
    assert.deepEqual(notes(service.directory), []);
  });

test('the managed Redis dies with it, and the next one has its data', quickly, async (t) => {
  const { service, redis } = await killed(t, { 'sennit.dev/redis': 'managed' });
  await until('it is gone', () => !runs(redis.pid));
  const run = await again(service);
  await until('redis is ready', () => run.output.includes('"redis is ready"'));
});

test('a process that has the number of one by now is left alone', quickly, async (t) => {
  const { service } = await killed(t);
  const mine = process.pid; // as if an instance had had this number: the birth differs
  const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  fs.writeFileSync(path.join(service.directory, 'control/programs', String(mine)), `1 ${mine} 1 ${boot} SENNIT_INSTANCE=board-00001-1\n`);
  fs.writeFileSync(path.join(service.directory, 'control/programs/nonsense'), 'no note');
  await again(service);
  assert.ok(runs(mine));
  assert.ok(!notes(service.directory).includes('nonsense'));
});
