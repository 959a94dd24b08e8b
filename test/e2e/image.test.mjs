// image: container images in `sennit up`: what a program finds that comes with one, all forms of the reference, and what
// is refused. The image is made here, without a tool and without a network.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { dockerArchive, image, ociArchive, server, tree, writeLayout } from './image.mjs';
import { alive, freePort, program, sennit, serviceYaml, temporary, until, up as start } from './lib.mjs';

const isRoot = process.getuid() === 0;
const folder = temporary();
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
fs.chmodSync(folder, 0o755);
const binary = server(folder);
const mayMount = spawnSync('unshare', isRoot ? ['-m', 'true'] : ['-U', '-m', 'true']).status === 0;
const reads = fs.existsSync(path.join(path.dirname(fs.realpathSync(sennit)), 'sennit-untar'));
const ours = { timeout: 90000, skip: !reads ? 'sennit was built without libarchive-dev' : binary === null ? 'no C compiler with static libraries' : !mayMount && 'this user may make no mount namespace here' };
const ownNetwork = spawnSync('unshare', ['--net', 'true']).status === 0;
const podman = spawnSync('podman', ['info']).status === 0;

const config = { Entrypoint: ['server'], Cmd: ['one', 'two'], Env: ['PATH=/bin', 'A=image', 'B=image'], User: 'node', WorkingDir: '/srv/new' };
const second = [{ name: 'app/second', bytes: '2' }, { name: 'app/.wh.gone' }, { name: 'opaque/.wh..wh..opq' }, { name: 'opaque/new', bytes: 'n' }];
const make = (more = {}, layers = []) => image({ layers: [tree(binary), second, ...layers], config: { ...config, ...more } });
const yaml = (reference, { more = '', annotations = {}, ...options } = {}) => serviceYaml({ annotations, ...options }).replace('example.com/none', JSON.stringify(reference)) + more;

// The image lies beside service.yaml, as DIR/NAME.
async function up(t, { reference = 'oci:layout', what = make(), spec = {}, ready = 1, ...options } = {}) {
  const place = temporary();
  fs.chmodSync(place, 0o755);
  writeLayout(path.join(place, 'layout'), what);
  fs.writeFileSync(path.join(place, 'oci.tar'), ociArchive(what));
  fs.writeFileSync(path.join(place, 'docker.tar'), dockerArchive(what));
  const [kind, name, ...tag] = reference.split(':');
  const service = await start(yaml([kind, path.join(place, name), ...tag].join(':'), { ...spec, annotations: { 'autoscaling.knative.dev/minScale': ready, ...spec.annotations } }), { ready, ...options });
  service.place = place;
  await until('it serves', () => service.output.includes('"serving"'));
  t.after(async () => {
    await service.again?.stop();
    await service.close();
    fs.rmSync(place, { recursive: true, force: true });
  });
  return service;
}
const get = async (service, what, argument = '') => {
  const response = await fetch(`${service.url}/${what}?${encodeURIComponent(argument)}`);
  const text = await response.text();
  return response.status === 200 ? JSON.parse(text) : `${response.status} ${text}`;
};
async function command(service, ...args) {
  const run = program([args[0], '--state', service.directory, ...args.slice(1)]);
  await run.ended;
  return run;
}
const variables = async (service) => Object.fromEntries((await get(service, 'env')).map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]));

test('a program finds what its image says', ours, async (t) => {
  const unused = { ExposedPorts: { '9999/tcp': {} }, Volumes: { '/data': {} }, StopSignal: 'SIGINT', Healthcheck: { Test: ['CMD', '/bin/none'] } };
  const service = await up(t, { what: make(unused), spec: { env: { B: 'file' }, annotations: { 'sennit.dev/redis': 'managed' } } });
  const env = await variables(service);
  assert.deepEqual([env.A, env.B, env.PATH, env.HOME, env.K_SERVICE], ['image', 'file', '/bin', '/home/node', 'board']);
  assert.equal(Object.keys(env).some((name) => ['TMPDIR', 'LANG'].includes(name)), false); // this machine's
  assert.deepEqual(await get(service, 'args'), ['/bin/server', 'one', 'two']);
  assert.deepEqual(await get(service, 'id'), [1000, 1001]);
  assert.equal(await get(service, 'cwd'), '/srv/new');
  assert.deepEqual((await get(service, 'list', '/')).sort(), ['app', 'bin', 'dev', 'etc', 'home', 'opaque', 'proc', 'srv', 'sys', 'tmp']);
  assert.deepEqual(await get(service, 'list', '/opaque'), ['new']);
  assert.deepEqual((await get(service, 'list', '/app')).sort(), ['data', 'second']);
  assert.equal(await get(service, 'stat', '/app/data'), '[600,1000,1001,1700000000]');
  assert.equal(await get(service, 'stat', '/bin/link'), await get(service, 'stat', '/bin/same'));
  assert.equal(await get(service, 'read', '/app/data'), 'lower');
  // it writes into memory of its own; what is the machine's stays
  assert.equal(await get(service, 'write', '/app/data=mine'), 'written');
  assert.equal(await get(service, 'read', '/app/data'), 'mine');
  assert.equal(await get(service, 'write', '/tmp/x=1'), 'written');
  assert.equal(await get(service, 'write', '/dev/null=1'), 'written');
  assert.equal(await get(service, 'write', '/proc/sys/kernel/hostname=x'), 'Read-only file system');
  assert.match(await get(service, 'read', '/etc/hosts'), /127\.0\.0\.1\tlocalhost/);
  const images = path.join(service.directory, 'images');
  assert.equal(fs.readFileSync(path.join(images, fs.readdirSync(images)[0], 'app/data'), 'utf8'), 'lower');
  // as a container: its own network, where this user may make one
  if (ownNetwork && isRoot) {
    assert.deepEqual([env.PORT, env.GCE_METADATA_HOST], ['8080', '169.254.169.254']);
    assert.match(await get(service, 'read', '/etc/hosts'), /169\.254\.169\.254\tmetadata\.google\.internal/);
  }
  assert.equal(env.REDIS_URL, `redis://${env.REDISHOST}:${env.REDISPORT}`);
  assert.equal(await get(service, 'ping', `${env.REDISHOST}:${env.REDISPORT}`), '+PONG\r\n');
  await get(service, 'say', 'this');
  await until('both lines are logged', () => /said this/.test(service.output) && /complained this/.test(service.output));
  const logs = await command(service, 'logs', 'board');
  assert.match(logs.output, /stdout: said this/);
  assert.match(logs.output, /stderr: complained this/);
});

test('command, args and workingDir of the file, volumes, and a user without a name', ours, async (t) => {
  const secrets = temporary();
  t.after(() => fs.rmSync(secrets, { recursive: true, force: true }));
  fs.chmodSync(secrets, 0o755);
  fs.writeFileSync(path.join(secrets, 'key'), 'hush');
  const more = '          volumeMounts:\n            - {name: key, mountPath: /run/secrets/key}\n            - {name: scratch, mountPath: /app/scratch}\n';
  const text = (reference) => yaml(reference, { command: ['/bin/link'], args: ['x'], workingDir: '/app', more, annotations: { 'autoscaling.knative.dev/minScale': 1 } })
    .replace('      containers:\n', '      volumes:\n        - {name: key, secret: {secretName: key}}\n        - {name: scratch, emptyDir: {medium: Memory, sizeLimit: 1Mi}}\n      containers:\n');
  const place = temporary();
  fs.chmodSync(place, 0o755);
  writeLayout(path.join(place, 'layout'), make({ User: 'nobody-here' }));
  const service = await start(text(`oci:${place}/layout`), { ready: 1, flags: ['--secrets', secrets] });
  t.after(async () => {
    await service.close();
    fs.rmSync(place, { recursive: true, force: true });
  });
  assert.deepEqual(await get(service, 'args'), ['/bin/link', 'x']);
  assert.equal(await get(service, 'cwd'), '/app');
  assert.deepEqual(await get(service, 'id'), [0, 0]);
  assert.match(service.output, /the image has no user of the name that it says/);
  assert.equal(await get(service, 'read', '/run/secrets/key/key'), 'hush');
  assert.equal(await get(service, 'write', '/run/secrets/key/key=x'), 'Read-only file system');
  assert.equal(await get(service, 'write', '/app/scratch/x=1'), 'written');
  fs.writeFileSync(path.join(secrets, 'key'), 'changed');
  await until('it sees the new version', async () => await get(service, 'read', '/run/secrets/key/key') === 'changed');
  // root in there is not this machine's: it makes no device, and changes nothing of the kernel's
  assert.match((await get(service, 'read', '/proc/self/status')).match(/CapBnd:\t(\w+)/)[1], isRoot ? /^0{13}5fb$/ : /5fb$/);
  assert.equal(await get(service, 'write', '/proc/sys/kernel/hostname=x'), 'Read-only file system');
});

test('its layers may be packed in zstd, or not at all', ours, async (t) => {
  for (const packing of ['zstd', 'none']) {
    const service = await up(t, { what: image({ layers: [tree(binary), second], config, packing }) });
    assert.deepEqual(await get(service, 'list', '/opaque'), ['new']);
  }
});

// What reads an image stays out of this process, and is found beside it.
test('libarchive is in no process but its own, which may be missing, old, hostile or broken', ours, async (t) => {
  const service = await up(t), place = temporary();
  t.after(() => fs.rmSync(place, { recursive: true, force: true }));
  const foreign = /libarchive|libxml2|libicu/;
  assert.doesNotMatch(fs.readFileSync(`/proc/${service.pid}/maps`, 'utf8'), foreign);
  assert.doesNotMatch(spawnSync('ldd', [sennit]).stdout.toString(), foreign);
  const copy = path.join(place, 'sennit'), reader = path.join(place, 'sennit-untar'), file = path.join(service.directory, 'service.yaml');
  fs.copyFileSync(sennit, copy);
  const says = async (message) => {
    const run = program(['up', file, '--port', await freePort(), '--state', path.join(place, 'state'), '--log-format', 'json'], { file: copy });
    t.after(() => run.stop());
    await until(`it says ${message}`, () => message.test(run.output)).catch((error) => assert.fail(`${error.message}: ${run.output}`));
    await run.stop();
  };
  if (!fs.existsSync('/usr/local/libexec/sennit/sennit-untar')) await says(/images are read by sennit-untar, which is built where the package libarchive-dev is: install that package/);
  for (const [script, message] of [
    ['kill -SEGV $$', /layer 1 of 2 .*its reader \(sennit-untar\) was ended by signal 11/],
    ['exit 0', /its reader \(sennit-untar\) broke off/],
    ['exec cat /dev/zero', /its reader \(sennit-untar\) broke off/],
    ["printf 'f\\006\\000\\000\\000\\0100.0.9'", /sennit-untar is not of this version, [\d.]+ \(0\.0\.9\): install sennit again/],
    ["printf 'e\\047\\000\\000\\000\\001\\000\\000\\000'; head -c 28 /dev/zero; printf '\\001\\000\\002\\000h..'", /h: a link leads out of the image/],
  ]) {
    fs.writeFileSync(reader, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await says(message);
  }
});

for (const reference of ['oci:layout:latest', 'oci-archive:oci.tar', 'oci-archive:oci.tar:latest', 'docker-archive:docker.tar', 'docker-archive:docker.tar:test:latest'])
  test(`${reference} is the same image`, ours, async (t) => {
    const service = await up(t, { reference });
    assert.deepEqual(await get(service, 'args'), ['/bin/server', 'one', 'two']);
    assert.deepEqual(await get(service, 'list', '/opaque'), ['new']);
  });

test('SIGTERM, ten seconds, SIGKILL; from none to one and back', ours, async (t) => {
  const service = await up(t, { ready: 0, flags: ['--idle-timeout', '1'] });
  const first = await variables(service);
  await until('none is left', async () => (await service.instances()).length === 0, 20000);
  assert.match(service.output, /the server got SIGTERM/);
  const next = await variables(service);
  assert.notEqual(next.SENNIT_INSTANCE, first.SENNIT_INSTANCE);
  assert.equal(await get(service, 'read', '/app/data'), 'lower'); // and nothing of the first one's
  const stubborn = await up(t, { spec: { env: { STUBBORN: '1' } } });
  const [{ pid }] = await stubborn.instances(), begun = Date.now();
  await stubborn.stop();
  assert.ok(Date.now() - begun > 9000);
  assert.equal(alive(pid), false);
});

// A runtime asks the control group for its limits, where containers have them: version 1's files, or version 2's.
async function finds(service, memory, quota) {
  const one = async (...names) => (await Promise.all(names.map((name) => get(service, 'read', `/sys/fs/cgroup/${name}`)))).find((text) => !/^No such/.test(text));
  assert.equal((await one('memory.max', 'memory/memory.limit_in_bytes')).trim(), memory);
  assert.equal((await one('cpu.max', 'cpu/cpu.cfs_quota_us')).trim().split(' ')[0], quota);
  assert.match(await get(service, 'read', '/proc/self/cgroup'), /^([^:]*:[^:]*:\/\n)+$/); // it looks like the root of all
  for (const name of ['memory/memory.limit_in_bytes', 'memory.max', 'cpu/cpu.shares', 'cpu.weight'])
    assert.match(await get(service, 'write', `/sys/fs/cgroup/${name}=9`), /^(Read-only file system|No such file or directory|Permission denied)$/);
}

test('securityContext says as whom it runs', ours, async (t) => {
  const security = (text) => ({ spec: { more: `          securityContext: ${text}\n` } });
  const service = await up(t, security('{runAsUser: 2020, runAsGroup: 7, runAsNonRoot: true}'));
  assert.deepEqual(await get(service, 'id'), [2020, 7]);
  assert.equal((await variables(service)).HOME, '/');
  const known = await up(t, security('{runAsUser: 1000}')); // the image knows it
  assert.deepEqual(await get(known, 'id'), [1000, 1001]);
  assert.equal((await variables(known)).HOME, '/home/node');
  const root = await up(t, { what: make({ User: 'root' }), ready: 0, ...security('{runAsNonRoot: true}') });
  assert.match(await get(root, 'id'), /^500 /);
  assert.match(root.output, /runAsNonRoot is true, and the image runs as root: give a runAsUser/);
});

test('its limits are the instance\'s', ours, async (t) => {
  const limits = '          resources: {limits: {cpu: 1, memory: 128Mi}}\n';
  const service = await up(t, { spec: { more: limits } });
  const [first] = await service.instances();
  if (isRoot) await finds(service, '134217728', '100000');
  assert.match(await get(service, 'eat', '300'), /^5\d\d .*memory/s);
  let pid;
  await until('the next one is there', async () => (pid = (await service.instances()).find((one) => one.pid !== 0 && one.pid !== first.pid)?.pid), 30000);
  await until('it stands still', async () => (await service.status_()).instances[0].cpu === false);
  assert.equal(alive(pid), true);
  assert.equal(await get(service, 'spin', '10'), true);
});

test('the image is another one now, and revisions that cannot be are refused', ours, async (t) => {
  const service = await up(t), layout = path.join(service.place, 'layout'), file = path.join(service.directory, 'service.yaml');
  const layoutOf = (what) => {
    fs.rmSync(layout, { recursive: true, force: true });
    writeLayout(layout, what);
  };
  const changed = path.join(service.directory, 'changed.yaml');
  fs.writeFileSync(changed, fs.readFileSync(file));
  layoutOf(make({ Cmd: ['changed'] }));
  const run = await command(service, 'apply', changed);
  assert.match(run.output, /revision \[board-00002\] has been deployed/);
  assert.deepEqual(await get(service, 'args'), ['/bin/server', 'changed']);
  const wrong = make({ Cmd: ['wrong'] });
  wrong.files[Object.keys(wrong.files).find((name) => wrong.files[name].length > 100000)] = Buffer.from('x'); // a layer's bytes
  for (const [what, message] of [
    [make({ Entrypoint: [], Cmd: [] }), /has neither ENTRYPOINT nor CMD: say which program it runs/],
    [make({ Entrypoint: ['none'] }), /the image has no program \\?"none\\?" \(looked for in its PATH, \\?"\/bin\\?"\)/],
    [image({ layers: [tree(binary)], config, arch: 'sparc' }), /is for \\?"sparc\\?", and this machine is linux\/.*--platform/],
    [{ files: {} }, /there is no folder/],
    [image({ layers: [tree(binary)], config, diffs: [`sha256:${'a'.repeat(64)}`] }), /layer 1 of 1 .*its digest is not the one/],
    [image({ layers: [[{ name: '../../out', bytes: 'x' }]], config }), /a path leads out of the image/],
    [image({ layers: [tree(binary).filter(({ name }) => name !== 'bin/same')], config: { ...config, WorkingDir: '/bin/server' } }), /\/bin\/server is no folder in the image/],
    [wrong, /it is damaged: its digest is not the one that its manifest says: make the image anew/],
  ]) {
    layoutOf(what);
    const refused = await command(service, 'apply', changed);
    assert.notEqual(refused.status, 0);
    assert.match(refused.output, message);
    assert.deepEqual(await get(service, 'args'), ['/bin/server', 'changed']);
  }
  assert.equal(fs.existsSync(path.join(service.directory, 'out')), false);
});

test('kill -9 of sennit up ends it, and the next one goes on with the image', ours, async (t) => {
  const service = await up(t);
  const [{ pid }] = await service.instances(), images = path.join(service.directory, 'images');
  fs.mkdirSync(path.join(images, 'left-behind'));
  await service.stop('SIGKILL');
  await until('it is gone', () => !alive(pid));
  const { directory, port, statusPort } = service;
  const run = service.again = program(['up', path.join(directory, 'service.yaml'), '--port', port, '--status-port', statusPort, '--state', directory, '--log-format', 'json']);
  await until('it serves again', () => run.output.includes('instance is ready'));
  assert.deepEqual(await get(service, 'args'), ['/bin/server', 'one', 'two']);
  assert.equal(fs.existsSync(path.join(images, 'left-behind')), false);
  assert.equal(fs.readdirSync(images).length, 1);
  assert.doesNotMatch(run.output, /the image is unpacked/); // it was
});

test('another user than root', { ...ours, skip: ours.skip || (!isRoot && 'it is the case above') || (spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'unshare', '-U', '-m', 'true']).status !== 0 && 'this user may make no user namespace here') }, async (t) => {
  const state = temporary();
  fs.chownSync(state, 65534, 65534);
  const service = await up(t, { flags: ['--user', 'nobody', '--state', state] });
  t.after(() => fs.rmSync(state, { recursive: true, force: true }));
  assert.deepEqual(await get(service, 'id'), [1000, 1001]); // in there
  assert.equal(await get(service, 'read', '/app/data'), 'lower');
  const [{ pid }] = await service.instances();
  assert.match(fs.readFileSync(`/proc/${pid}/status`, 'utf8'), /Uid:\t65534/);
  assert.equal((await variables(service)).PORT === '8080', false); // it gets no network of its own
  await service.stop('SIGKILL');
  await until('it is gone', () => !alive(pid));
});

test('an archive of podman\'s own making', { ...ours, skip: ours.skip || (!podman && 'no podman here') }, async (t) => {
  const place = temporary(), name = `localhost/sennit-test-${process.pid}`;
  fs.chmodSync(place, 0o755);
  t.after(() => {
    spawnSync('podman', ['rmi', '-f', name]);
    fs.rmSync(place, { recursive: true, force: true });
  });
  fs.writeFileSync(path.join(place, 'server'), binary, { mode: 0o755 });
  fs.writeFileSync(path.join(place, 'Dockerfile'), 'FROM scratch\nCOPY server /opt/server\nENV A=dockerfile\nENTRYPOINT ["/opt/server"]\nCMD ["x"]\n');
  const run = (...args) => {
    const done = spawnSync('podman', args, { cwd: place, encoding: 'utf8' });
    assert.equal(done.status, 0, done.stderr);
  };
  run('build', '-q', '-t', name, '.');
  for (const [format, kind] of [['oci-archive', 'oci-archive'], ['docker-archive', 'docker-archive'], ['oci-dir', 'oci']]) {
    run('save', '-q', '--format', format, '-o', path.join(place, format), name);
    const service = await start(yaml(`${kind}:${place}/${format}`, { annotations: { 'autoscaling.knative.dev/minScale': 1 } }), { ready: 1 });
    assert.deepEqual(await get(service, 'args'), ['/opt/server', 'x']);
    assert.equal((await variables(service)).A, 'dockerfile');
    await service.close();
  }
});
