// volumes: secrets as files and memory, at paths that this machine does not have, for one instance alone.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { alive, freePort, program, serviceYaml, temporary, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
const isRoot = process.getuid() === 0;
const mayMount = spawnSync('unshare', isRoot ? ['-m', 'true'] : ['-U', '-m', 'true']).status === 0;
const skip = mayMount ? false : 'this user may make no mount namespace here';
// Evaluates the expression of the query; `run` is what a shell says.
const server = `${process.execPath} -e "const fs = require('node:fs'); const run = (text) => require('node:child_process').execSync(text + ' 2>&1 || true').toString(); require('node:http').createServer((request, response) => { let answer; try { answer = eval(decodeURIComponent(request.url.slice(2))) } catch (error) { answer = error.code } response.end(JSON.stringify(answer)) }).listen(process.env.PORT)"`;
const yaml = ({ volumes = '', mounts = '', annotations = {} }) => serviceYaml({ run: server, annotations })
  .replace('      containers:\n', `${volumes && `      volumes:\n${volumes}`}      containers:\n`) + (mounts && `          volumeMounts:\n${mounts}`);
const volumes = '        - {name: many, secret: {secretName: many, defaultMode: 0640, items: [{key: latest, path: a/newest}, {key: "2", path: second, mode: 0777}]}}\n' +
  '        - {name: one, secret: {secretName: one}}\n        - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Mi}}\n';
const mounts = '            - {name: many, mountPath: /sennit-secrets/many}\n            - {name: one, mountPath: /etc/sennit-one/}\n            - {name: scratch, mountPath: /sennit-scratch}\n';
const ask = async (service, expression) => (await fetch(`${service.url}/?${encodeURIComponent(expression)}`)).json();
const read = (service, name) => ask(service, `fs.readFileSync('${name}', 'utf8')`);

function secrets(t) {
  const folder = temporary();
  fs.chmodSync(folder, 0o755);
  fs.writeFileSync(path.join(folder, 'one'), 'single\0value');
  fs.mkdirSync(path.join(folder, 'many'));
  for (const [version, text] of [['1', 'first'], ['2', 'second'], ['10', 'hushhush']]) fs.writeFileSync(path.join(folder, 'many', version), text);
  return folder;
}
// One that runs; what writes in the folders ends before they go.
async function up(t, text, flags = []) {
  const folder = secrets(t);
  const service = await start(text, { flags: ['--secrets', folder, ...flags] });
  t.after(async () => {
    await service.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });
  await until('it serves', () => service.output.includes('"serving"') || service.status !== null);
  return { service, folder };
}

test('an instance sees its volumes, and nobody else does', { ...quickly, skip }, async (t) => {
  const { service } = await up(t, yaml({ volumes, mounts, annotations: { 'autoscaling.knative.dev/minScale': 2 } }));
  await until('two are there', async () => (await service.instances()).length === 2, 30000);
  assert.equal(await read(service, '/sennit-secrets/many/a/newest'), 'hushhush');
  assert.equal(await read(service, '/sennit-secrets/many/second'), 'second');
  assert.equal(await read(service, '/etc/sennit-one/one'), 'single\0value');
  assert.deepEqual(await ask(service, "['/sennit-secrets/many/a/newest', '/sennit-secrets/many/second', '/etc/sennit-one/one'].map((name) => (fs.statSync(name).mode & 0o777).toString(8))"), ['440', '555', '444']);
  // what lies beside them is as ever, and so are the program's user, folder and rights
  assert.equal(await read(service, '/etc/hostname'), fs.readFileSync('/etc/hostname', 'utf8'));
  assert.equal(await ask(service, 'fs.readdirSync("/").filter((name) => !/^sennit-/.test(name)).join()'), fs.readdirSync('/').filter((name) => !/^sennit-/.test(name)).join());
  assert.deepEqual(await ask(service, '[process.getuid(), process.getgid(), process.cwd()]'), [process.getuid(), process.getgid(), service.directory]);
  for (const name of ['/sennit-secrets', '/etc/sennit-one', '/sennit-scratch']) assert.ok(!fs.existsSync(name), name);
  assert.equal(fs.readFileSync('/proc/mounts', 'utf8').includes('sennit-'), false);
  // a secret cannot be written, memory can, up to its size; each instance has its own
  for (const change of ["fs.writeFileSync('/sennit-secrets/many/x', '')", "fs.writeFileSync('/etc/sennit-one/one', '')", "fs.rmSync('/etc/sennit-one/one')"]) assert.equal(await ask(service, change), 'EROFS', change);
  assert.equal(await ask(service, "(() => { try { fs.writeFileSync('/sennit-scratch/large', Buffer.alloc(2 << 20)) } finally { fs.rmSync('/sennit-scratch/large') } })()"), 'ENOSPC');
  await ask(service, "fs.writeFileSync('/sennit-scratch/mine', process.env.SENNIT_INSTANCE), 1");
  const seen = new Set();
  await until('both are asked', async () => seen.add(await ask(service, "[process.env.SENNIT_INSTANCE, fs.existsSync('/sennit-scratch/mine') ? fs.readFileSync('/sennit-scratch/mine', 'utf8') : ''].join()")).size > 1);
  for (const [instance, mine] of [...seen].map((one) => one.split(','))) assert.ok(mine === '' || mine === instance, [...seen].join(' '));
  assert.ok(!/hushhush|single/.test(service.output + fs.readFileSync(path.join(service.directory, 'control/state.json'), 'utf8')));
  // it ends with sennit up, however that ends
  const pids = (await service.instances()).map((one) => one.pid);
  await service.stop('SIGKILL');
  await until('they have ended', () => !pids.some(alive));
});

test('an instance with a network of its own has volumes, too', { ...quickly, skip: skip || (!isRoot && 'only root makes networks') }, async (t) => {
  const { service } = await up(t, yaml({ volumes, mounts }), ['--network', 'private']);
  assert.equal(await read(service, '/sennit-secrets/many/a/newest'), 'hushhush');
  assert.equal(await ask(service, 'process.env.PORT'), '8080');
});

test('a file shows the version that is there when it is read', { ...quickly, skip }, async (t) => {
  const { service, folder } = await up(t, yaml({ volumes, mounts }));
  const newest = '/sennit-secrets/many/a/newest';
  assert.equal(await read(service, newest), 'hushhush');
  fs.writeFileSync(path.join(folder, 'many', '11'), 'later');
  await until('the new version', async () => (await read(service, newest)) === 'later');
  fs.writeFileSync(path.join(folder, 'many', '11'), 'changed');
  await until('the changed version', async () => (await read(service, newest)) === 'changed');
  fs.renameSync(path.join(folder, 'many'), path.join(folder, 'away'));
  await until('it has gone', async () => (await read(service, newest)) === 'ENOENT');
  await until('that is told', () => service.output.includes('a mounted secret is not there any more'));
  fs.renameSync(path.join(folder, 'away'), path.join(folder, 'many'));
  await until('it is back', async () => (await read(service, newest)) === 'changed');
  assert.equal(await read(service, '/sennit-secrets/many/second'), 'second');
  assert.equal(service.output.match(/a mounted secret is not there any more/g).length, 1);
});

test('an ordinary user has them, too', { ...quickly, skip: skip || (isRoot && spawnSync('setpriv', ['--reuid=nobody', '--clear-groups', 'unshare', '-U', '-m', 'true']).status !== 0 && 'user namespaces are not allowed here') }, async (t) => {
  const folder = temporary();
  fs.chmodSync(folder, 0o777);
  const flags = isRoot ? ['--user', 'nobody'] : [];
  const file = path.join(folder, 'service.yaml'), given = secrets(t), port = await freePort();
  fs.writeFileSync(file, yaml({ volumes, mounts }));
  const run = program(['up', file, '--port', port, '--state', path.join(folder, 'state'), '--secrets', given, '--log-format', 'json', ...flags]);
  t.after(async () => {
    await run.stop();
    for (const one of [folder, given]) fs.rmSync(one, { recursive: true, force: true });
  });
  await until('it serves', () => run.output.includes('"serving"') || run.status !== null);
  const service = { url: `http://127.0.0.1:${port}` };
  assert.equal(await read(service, '/sennit-secrets/many/a/newest'), 'hushhush');
  assert.equal(await ask(service, "fs.writeFileSync('/sennit-secrets/many/x', '')"), 'EROFS');
  assert.equal(await ask(service, "run('cat /proc/self/status').match(/CapEff:.(.*)/)[1]"), '0000000000000000');
  fs.writeFileSync(path.join(given, 'many', '11'), 'later');
  await until('the new version', async () => (await read(service, '/sennit-secrets/many/a/newest')) === 'later');
  const pid = await ask(service, 'process.pid');
  await run.stop('SIGKILL');
  await until('it has ended', () => !alive(pid));
});

test('without the rights a deployment is refused with the cure', { ...quickly, skip: isRoot && !skip ? false : 'only root can make a user without the rights' }, async (t) => {
  const folder = temporary(), root = path.join(folder, 'root');
  fs.chmodSync(folder, 0o777);
  fs.mkdirSync(root);
  const file = path.join(folder, 'service.yaml'), given = secrets(t);
  t.after(() => [folder, given].forEach((one) => fs.rmSync(one, { recursive: true, force: true })));
  fs.writeFileSync(file, yaml({ volumes, mounts }));
  const copy = path.join(folder, 'sennit'); // that user may not look into the folder of this one
  fs.copyFileSync(path.resolve(process.env.SENNIT ?? 'build/sennit'), copy);
  fs.chmodSync(copy, 0o755);
  // who is in a chroot may make no user namespace (user_namespaces(7))
  const run = program(['-m', 'sh', '-c', 'mount --rbind / "$0" && exec chroot --userspec=nobody "$0" "$@"', root, copy, 'up', file, '--port', '0', '--state', path.join(folder, 'state'), '--secrets', given], { file: 'unshare' });
  await run.ended;
  assert.equal(run.status, 1);
  assert.match(run.output, /volumes need a mount namespace, which this user may not make here \(Operation not permitted\): run sennit up as root, or allow user namespaces/);
});

test('what cannot be mounted is refused, and a path that is a file is named', { ...quickly, skip }, async (t) => {
  for (const [changed, why] of [[mounts.replace('/sennit-scratch', '/etc/hostname'), /the mountPath \/etc\/hostname: \/etc\/hostname is no folder on this machine/],
    [mounts.replace('/sennit-scratch', '/etc/hostname/x'), /the mountPath \/etc\/hostname\/x: \/etc\/hostname is no folder/]]) {
    const { service } = await up(t, yaml({ volumes, mounts: changed }));
    assert.equal(await service.ended, 1);
    assert.match(service.output, why);
  }
  const { service } = await up(t, yaml({ volumes: volumes.replace('secretName: one', 'secretName: none'), mounts }));
  assert.equal(await service.ended, 1);
  assert.match(service.output, /service.yaml: the volume one: there is no version latest of the secret none: write it into /);
});
