// platform: what surrounds the instances of `sennit up`: the managed Redis, and signals.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { board, freePort, program, sennit, serve, serviceYaml, sleep, temporary, top, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
const server = `${process.execPath} -e "require('node:http').createServer((request, response) => response.end('hello')).listen(process.env.PORT)"`;
const managed = { run: server, annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': 1 } };

// Whatever a test leaves running ends with it.
async function up(t, ...rest) {
  const service = await start(...rest);
  t.after(() => service.close());
  return service;
}
function command(t, args) {
  const run = program(args);
  t.after(() => run.stop('SIGKILL'));
  return run;
}
function directory(t) {
  const path = temporary();
  t.after(() => fs.rmSync(path, { recursive: true, force: true }));
  return path;
}

// Answers with what its process is: environment, descriptors, status.
const mirror = `${process.execPath} -e "const fs = require('node:fs');
  require('node:http').createServer((request, response) => response.end(JSON.stringify({ env: process.env, fds: Object.fromEntries(fs.readdirSync('/proc/self/fd')
    .map((fd) => { try { return [fd, fs.readlinkSync('/proc/self/fd/' + fd)]; } catch { return [fd, 'gone']; } })), status: fs.readFileSync('/proc/self/status', 'utf8') }))).listen(process.env.PORT)"`.replace(/\n */g, ' ');

test('an instance gets the file\'s environment and nothing of the shell but what is passed on', quickly, async (t) => {
  const environment = { ...process.env, AWS_SECRET_ACCESS_KEY: 'secret', PASSED: 'on', REDIS_URL: 'redis://of-the-shell' };
  const state = directory(t), file = path.join(state, 'service.yaml');
  fs.writeFileSync(file, serviceYaml({ run: mirror, env: { OWN: 'of the file', LANG: 'xx' }, annotations: { 'autoscaling.knative.dev/minScale': 1 } }));
  const run = program(['up', file, '--port', '0', '--log-format', 'json', '--env', 'PASSED'], { env: environment });
  t.after(() => run.stop());
  const port = await until('it serves', () => run.output.match(/"serving".*"port":(\d+)/)?.[1]);
  const { env } = await (await fetch(`http://127.0.0.1:${port}/`)).json();
  for (const name of ['PATH', 'HOME', 'TMPDIR']) assert.equal(env[name], process.env[name]);
  assert.deepEqual([env.OWN, env.LANG, env.PASSED], ['of the file', 'xx', 'on']);
  assert.deepEqual(Object.keys(env).sort(), ['HOME', 'K_CONFIGURATION', 'K_REVISION', 'K_SERVICE', 'LANG', 'OWN', 'PASSED', 'PATH', 'PORT',
    'GCE_METADATA_HOST', 'GCE_METADATA_IP', 'GCE_METADATA_ROOT', 'SENNIT_CONCURRENCY', 'SENNIT_INSTANCE', 'SENNIT_REQUEST_TIMEOUT_SECONDS', ...(process.env.TMPDIR === undefined ? [] : ['TMPDIR'])].sort());
});

test('--env: what cannot be passed on is told, without its value', quickly, async (t) => {
  const state = directory(t), file = path.join(state, 'service.yaml');
  fs.writeFileSync(file, serviceYaml({ run: mirror }));
  for (const [name, why] of [['NOT_SET', /NOT_SET: this variable is not set here/], ['A=secret', /--env takes the name/], ['', /--env takes the name/],
    ['PORT', /PORT: the platform sets this variable itself/]]) {
    const run = program(['up', file, '--port', '0', '--env', name]);
    assert.equal(await run.ended, 1, run.output);
    assert.match(run.output, why);
    assert.ok(!run.output.includes('secret'), run.output);
  }
});

test('an instance holds no descriptor of the platform, gains no privileges, and ends when the platform is killed', quickly, async (t) => {
  // A shell that leaves a file open, and a platform with connections, a state folder and a status page.
  const within = ['sh', '-c', 'exec 9</etc/passwd && exec "$@"', 'sh'];
  const service = await up(t, { ...managed, run: mirror }, { ready: 1, within });
  const sockets = Array.from({ length: 5 }, () => net.connect(service.port, '127.0.0.1').on('error', () => {}));
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  const [{ pid }] = await service.instances();
  process.kill(pid, 'SIGKILL'); // the next one starts while all that is open
  await until('another instance is ready', async () => (await service.instances()).some((one) => one.pid !== pid));
  const { fds, status } = await (await fetch(service.url)).json();
  assert.equal(fds[0], '/dev/null');
  const of = (pid) => fs.readdirSync(`/proc/${pid}/fd`).map((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`)).filter((to) => /^(socket|pipe):|passwd/.test(to));
  const platforms = new Set(of(service.pid));
  assert.deepEqual(Object.entries(fds).filter(([fd, to]) => fd > 2 && (platforms.has(to) || to.includes('passwd'))), []);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  const { redis, instances } = await service.status_();
  const theirs = fs.readdirSync(`/proc/${redis.pid}/fd`).map((fd) => [fd, fs.readlinkSync(`/proc/${redis.pid}/fd/${fd}`)]);
  assert.deepEqual(theirs.filter(([fd, to]) => fd > 2 && (platforms.has(to) || to.includes('passwd') || to.endsWith('/lock'))), []);
  await service.stop('SIGKILL');
  const gone = (pid) => { try { return /^State:\t[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')); } catch { return true; } };
  await until('they are gone', () => [redis.pid, ...instances.map((one) => one.pid)].every(gone), 5000);
});

test('securityContext: a program runs as the user that the file names', { ...quickly, skip: process.getuid() !== 0 && 'this is not root' }, async (t) => {
  const service = await up(t, serviceYaml({ run: mirror }) + '          securityContext: {runAsUser: 65534}\n');
  await until('it listens', () => /"status"/.test(service.output));
  const { env, status } = await (await fetch(service.url)).json();
  assert.match(status, /^Uid:\t65534\t65534\t65534\t65534\nGid:\t65534\t65534\t65534\t65534$/m);
  assert.equal(env.HOME, fs.readFileSync('/etc/passwd', 'utf8').match(/^[^:]+:[^:]*:65534:.*$/m)[0].split(':')[5]);
});

test('root becomes an ordinary user, and so do instances and Redis', { ...quickly, skip: process.getuid() !== 0 && 'this is not root' }, async (t) => {
  const state = directory(t);
  fs.chmodSync(state, 0o755);
  const state2 = path.join(state, 'nobodys');
  fs.mkdirSync(state2);
  fs.chownSync(state2, 65534, 65534);
  // What nobody can read and run: neither this tree nor root's node.
  fs.writeFileSync(path.join(state, 'server.pl'), `use IO::Socket;
    my $s = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die;
    while (my $c = $s->accept) { my $l = <$c>; my $u = "$< $ENV{HOME}"; print $c "HTTP/1.1 200 OK\\r\\nContent-Length: " . length($u) . "\\r\\nConnection: close\\r\\n\\r\\n$u"; close $c }`);
  const file = path.join(state, 'service.yaml'), port = await freePort();
  fs.writeFileSync(file, serviceYaml({ ...managed, run: 'perl server.pl' }));
  const service = command(t, ['up', file, '--port', '0', '--status-port', port, '--log-format', 'json', '--state', state2, '--user', 'nobody']);
  service.status_ = async () => (await fetch(`http://127.0.0.1:${port}/status`)).json();
  const { url } = await until('it is ready', async () => {
    assert.equal(service.status, null, service.output);
    const status = await service.status_().catch(() => null);
    return status?.instances.some((one) => one.state === 'ready') && status;
  }).catch((error) => assert.fail(`${error.message}\n${service.output}`));
  assert.match(await (await fetch(url.replace('localhost', '127.0.0.1'))).text(), /^65534 \/nonexistent$/);
  const { redis } = await service.status_();
  for (const pid of [service.pid, redis.pid]) assert.match(fs.readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\t65534\t65534\t65534\t65534\nGid:(\t65534){4}\n[^]*^Groups:\t65534? ?$/m);
  assert.equal(fs.statSync(redis.socket).uid, 65534);
  const unknown = command(t, ['up', file, '--port', '0', '--user', 'no-such-user']);
  assert.equal(await unknown.ended, 1);
  assert.match(unknown.output, /--user: there is no user .*no-such-user/);
});

const mode = (file) => (fs.lstatSync(file).mode & 0o7777).toString(8);
const everything = (top) => [top, ...fs.readdirSync(top, { recursive: true, withFileTypes: true }).map((one) => path.join(one.parentPath ?? one.path, one.name))];
// One command, in Redis' inline form, to a unix socket.
async function ask(socket, line) {
  const client = net.connect(socket);
  client.write(`${line}\r\n`);
  const [data] = await once(client, 'data');
  client.destroy();
  return data.toString();
}

test('the managed Redis is on a socket that nobody else can reach, with bounded memory', quickly, async (t) => {
  const service = await up(t, { ...managed, run: mirror, annotations: { ...managed.annotations, 'sennit.dev/redis-memory': '100MiB' } }, { ready: 1 });
  const { redis } = await service.status_();
  assert.equal(redis.socket, path.join(fs.realpathSync(service.directory), 'redis/redis.sock'));
  const { env } = await (await fetch(service.url)).json();
  assert.equal(env.REDIS_URL, `unix://${redis.socket}`);
  for (const file of everything(path.join(service.directory, 'redis'))) assert.equal(mode(file), fs.lstatSync(file).isDirectory() ? '700' : '600', file);
  assert.match(await ask(redis.socket, 'CONFIG GET maxmemory*'), /\r\nmaxmemory\r\n\$9\r\n104857600\r\n/);
  assert.match(await ask(redis.socket, 'CONFIG GET maxmemory-policy'), /noeviction/);
  assert.match(await ask(redis.socket, 'CONFIG GET port'), /\r\nport\r\n\$1\r\n0\r\n/);
  const listening = ['tcp', 'tcp6'].flatMap((name) => fs.readFileSync(`/proc/net/${name}`, 'utf8').split('\n')).map((line) => line.trim().split(/ +/)).filter((line) => line[3] === '0A').map((line) => `socket:[${line[9]}]`);
  const held = fs.readdirSync(`/proc/${redis.pid}/fd`).map((fd) => { try { return fs.readlinkSync(`/proc/${redis.pid}/fd/${fd}`); } catch { return ''; } });
  assert.deepEqual(held.filter((one) => listening.includes(one)), []);
});

test('a state directory that others could read is closed, and that is told', quickly, async (t) => {
  const state = directory(t), redis = path.join(state, 'redis'), inside = path.join(redis, 'appendonlydir');
  fs.mkdirSync(inside, { recursive: true });
  fs.writeFileSync(path.join(redis, 'dump.txt'), 'x');
  for (const [file, bits] of [[redis, 0o755], [inside, 0o777], [path.join(redis, 'dump.txt'), 0o644]]) fs.chmodSync(file, bits);
  const service = await up(t, managed, { ready: 1, flags: ['--state', state] });
  assert.match(service.output, /"other users could read the directory of a managed server: modes corrected"[^\n]*"modes_changed":3/);
  for (const file of everything(redis)) assert.equal(mode(file), fs.lstatSync(file).isDirectory() ? '700' : '600', file);
});

test('a state directory of somebody else, or one that everybody may replace, is refused', quickly, async (t) => {
  const state = directory(t), file = path.join(state, 'service.yaml');
  fs.writeFileSync(file, serviceYaml(managed));
  const refused = async (why) => {
    const run = command(t, ['up', file, '--port', '0', '--state', state]);
    assert.equal(await Promise.race([run.ended, sleep(5000).then(() => 'still running')]), 1, run.output);
    assert.match(run.output, why);
  };
  fs.mkdirSync(path.join(state, 'redis'));
  fs.chmodSync(state, 0o777);
  await refused(/everybody may write into the directory above it: chmod o-w/);
  fs.chmodSync(state, 0o755);
  if (process.getuid() !== 0) return;
  fs.writeFileSync(path.join(state, 'redis/theirs'), '');
  fs.chownSync(path.join(state, 'redis/theirs'), 12345, 12345);
  await refused(/theirs in it belongs to another user \(12345\)/);
  fs.chownSync(path.join(state, 'redis'), 12345, 12345);
  await refused(/redis: belongs to another user \(12345\): choose another directory/);
});

test('a state directory whose path is too long for a socket, or odd', quickly, async (t) => {
  const state = directory(t);
  for (const name of ['d'.repeat(120), 'a b%20 @?#é"']) {
    const service = await up(t, { ...board({ min: 1 }), annotations: { ...managed.annotations } }, { ready: 1, flags: ['--state', path.join(state, name)] });
    const { redis } = await service.status_();
    assert.ok(redis.socket.length < 108 && fs.lstatSync(redis.socket).isSocket(), redis.socket);
    assert.equal(mode(path.dirname(redis.socket)), '700');
    await until('the instance reached it', async () => (await fetch(`${service.url}/ready`)).status === 200);
    await service.stop();
    assert.ok(!fs.existsSync(redis.socket) || name !== 'd'.repeat(120), 'the short directory is removed');
  }
});

test('two services do not write into one append-only file', quickly, async (t) => {
  const state = directory(t);
  const first = await up(t, managed, { ready: 1, flags: ['--state', state] });
  const file = path.join(first.directory, 'service.yaml');
  const second = command(t, ['up', file, '--port', '0', '--state', state]);
  assert.equal(await Promise.race([second.ended, sleep(5000).then(() => 'still running')]), 1, second.output);
  assert.match(second.output, new RegExp(`a directory of its own \\(--state DIR.*redis/lock: process ${first.pid} holds it`));
  assert.equal((await first.status_()).redis.ready, true);
  await first.stop('SIGKILL');
  await up(t, managed, { ready: 1, flags: ['--state', state] }); // what a killed one held is free
});

test('a directory that cannot be used', quickly, async (t) => {
  const state = directory(t);
  fs.writeFileSync(path.join(state, 'redis'), 'a file');
  fs.writeFileSync(path.join(state, 'service.yaml'), serviceYaml(managed));
  const run = command(t, ['up', path.join(state, 'service.yaml'), '--port', '0', '--state', state]);
  assert.equal(await Promise.race([run.ended, sleep(5000).then(() => 'still running')]), 1, run.output);
  assert.match(run.output, /--state DIR.*redis.*: Not a directory/);
});

test('a Redis that comes up at its second try', quickly, async (t) => {
  const state = directory(t);
  const files = path.join(state, 'redis/appendonlydir');
  fs.mkdirSync(files, { recursive: true });
  fs.writeFileSync(path.join(files, 'appendonly.aof.manifest'), 'garbage\n');
  const service = await up(t, managed, { flags: ['--state', state] });
  await until('it is told why', () => /redis ended.*Invalid AOF manifest file format.*directory/.test(service.output));
  fs.rmSync(files, { recursive: true });
  await until('an instance is ready', async () => (await service.instances()).length === 1);
});

test('a SIGTERM that comes twice is one; a second Ctrl-C kills', quickly, async (t) => {
  const slow = `${process.execPath} -e "require('http').createServer((q, r) => r.end()).listen(process.env.PORT); process.on('SIGTERM', () => setTimeout(() => { console.log('ended in order'); process.exit(); }, 700))"`;
  const annotations = { 'autoscaling.knative.dev/minScale': 1 };
  const twice = await up(t, { run: slow, annotations }, { ready: 1 }), impatient = await up(t, { run: slow, annotations }, { ready: 1 });
  for (const [service, signal] of [[twice, 'SIGTERM'], [impatient, 'SIGINT']]) {
    service.child.kill(signal);
    await sleep(50);
    await service.stop(signal);
    assert.equal(service.status, 0, service.output);
  }
  assert.match(twice.output, /ended in order[^]*"stopped"/);
  assert.doesNotMatch(impatient.output, /ended in order/);
  assert.match(impatient.output, /asked twice/);
});

test('it listens on this machine alone, under both of its addresses, unless --bind says otherwise', quickly, async (t) => {
  const run = `${process.execPath} -e "require('http').createServer((q, r) => r.end('ok')).listen(process.env.PORT)"`;
  const reaches = (host, port) => fetch(`http://${host}:${port}/`).then((response) => response.status, () => 0);
  const six = fs.existsSync('/proc/net/if_inet6') && fs.readFileSync('/proc/net/if_inet6', 'utf8').includes('00000000000000000000000000000001');
  const own = Object.values(os.networkInterfaces()).flat().find((one) => !one.internal && one.family === 'IPv4')?.address;
  const annotations = { 'autoscaling.knative.dev/minScale': 1 };
  const local = await up(t, { run, annotations }, { ready: 1 });
  assert.equal(await reaches('127.0.0.1', local.port), 200);
  if (six) assert.equal(await reaches('[::1]', local.port), 200);
  if (own !== undefined) assert.equal(await reaches(own, local.port), 0);
  assert.match(local.output, /"serving"[^\n]*"address":"localhost"/);
  const open = await up(t, { run, annotations }, { ready: 1, flags: ['--bind', '0.0.0.0'] });
  for (const host of ['127.0.0.1', ...(own === undefined ? [] : [own])]) assert.equal(await reaches(host, open.port), 200, host);
  const wrong = run_(sennit, 'up', path.join(top, 'examples/node-hello/service.yaml'), '--bind', 'example.com');
  assert.equal(wrong.status, 1);
  assert.match(wrong.stderr, /--bind: expected an IP address, such as 0\.0\.0\.0 or ::, found "?example\.com/);
});

test('with session affinity a client comes back to its instance, and to another one when that is gone', quickly, async (t) => {
  const run = `${process.execPath} -e "require('http').createServer((q, r) => r.end(process.env.SENNIT_INSTANCE)).listen(process.env.PORT)"`;
  const kept = { 'autoscaling.knative.dev/minScale': 3, 'autoscaling.knative.dev/maxScale': 3 };
  const service = await up(t, { run, annotations: { ...kept, 'run.googleapis.com/sessionAffinity': 'true' } }, { ready: 3 });
  const ask = async (cookie) => {
    const response = await fetch(service.url, { headers: cookie ? { cookie } : {} });
    return { instance: await response.text(), cookie: response.headers.get('set-cookie')?.split(';')[0], control: response.headers.get('cache-control') };
  };
  const first = await ask();
  assert.match(first.cookie, /^sennit-affinity=[0-9a-f]{16}$/);
  assert.equal(first.control, 'private');
  for (let n = 0; n < 20; n++) assert.deepEqual(await ask(first.cookie), { instance: first.instance, cookie: undefined, control: null });
  const seen = new Set();
  for (let n = 0; n < 60; n++) seen.add((await ask()).instance);
  assert.equal(seen.size, 3, 'clients without a cookie are spread');
  process.kill((await service.instances()).find((one) => one.id === first.instance).pid, 'SIGKILL');
  await until('it is gone', async () => !(await service.instances()).some((one) => one.id === first.instance));
  const next = await ask(first.cookie);
  assert.notEqual(next.instance, first.instance);
  assert.notEqual(next.cookie, undefined);
  assert.equal((await ask(next.cookie)).instance, next.instance);
});

test('a program that listens elsewhere than on $PORT, or on 127.0.0.1 only, is told so within seconds', quickly, async (t) => {
  const server = (where) => `${process.execPath} -e "require('http').createServer((q, r) => r.end('ok')).listen(${where})"`;
  const port = await freePort(), annotations = { 'autoscaling.knative.dev/minScale': 1 };
  const elsewhere = await up(t, { run: server(port), annotations }), local = await up(t, { run: server("process.env.PORT, '127.0.0.1'"), annotations }, { ready: 1 });
  const open = await up(t, { run: server('process.env.PORT'), annotations }, { ready: 1 });
  await until('the other port is told', () => new RegExp(`"severity":"ERROR"[^\\n]*another port than \\$PORT[^\\n]*"listens_on":${port},`).test(elsewhere.output), 8000);
  if (os.networkInterfaces().lo?.some((one) => one.family === 'IPv6')) {
    const six = await up(t, { run: server("process.env.PORT, '::1'"), annotations });
    await until('the other address is told', () => /"severity":"ERROR"[^\n]*listens on \$PORT, but not on 127\.0\.0\.1/.test(six.output), 8000);
  }
  assert.match(local.output, /"severity":"WARNING"[^\n]*listens on 127\.0\.0\.1 only/);
  assert.doesNotMatch(open.output, /127\.0\.0\.1 only|another port/);
});

// A terminal of its own, which closes when Python is killed. Without a terminal, SIGHUP means to read the file again (deploys).
test('the terminal is closed', quickly, async (t) => {
  const within = ['python3', '-c', 'import pty, sys; pty.spawn(sys.argv[1:])'];
  const service = await start(managed, { ready: 1, within });
  const { redis, instances } = await service.status_();
  await service.stop('SIGKILL');
  const gone = (pid) => { try { return /^State:\t[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8')); } catch { return true; } };
  await until('they are gone', () => [redis.pid, ...instances.map((one) => one.pid)].every(gone));
  assert.equal(await service.status_().catch(() => null), null);
  await service.close();
});

test('a shell that allows few open files is no limit for connections', quickly, async (t) => {
  const within = ['sh', '-c', 'ulimit -Sn 100 && exec "$@"', 'sh'];
  const service = await up(t, { run: server, annotations: { 'autoscaling.knative.dev/minScale': 1 } }, { ready: 1, within });
  const instance = await serve('namespaces: {/: {events: {}}}\n', { within, args: ['--broker', 'memory'] });
  t.after(() => instance.close());
  for (const { port } of [service, instance]) {
    const sockets = Array.from({ length: 200 }, () => net.connect(port, '127.0.0.1').on('error', () => {}));
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    sockets.at(-1).write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await Promise.race([once(sockets.at(-1), 'data'), sleep(3000).then(() => assert.fail('no answer'))]);
  }
});

const run_ = (...argv) => spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' });
test('the image of the whiteboard: it has what meson asks for and what the program loads, and is no root\'s', { ...quickly, skip: run_('dpkg', '-S', '/bin/sh').status !== 0 && 'needs dpkg and Debian\'s packages' }, () => {
  const [build, last] = fs.readFileSync(path.join(top, 'examples/whiteboard/Dockerfile'), 'utf8').split(/^FROM /m).slice(1);
  const package_ = (file) => run_('dpkg', '-S', fs.realpathSync(file)).stdout.split(':')[0];
  // It runs no images of its own: what reads them is not built there.
  const names = [...fs.readFileSync(path.join(top, 'meson.build'), 'utf8').matchAll(/dependency\('([^']+)'.*/g)].filter(([line]) => !line.includes("get_option('images')")).map((match) => match[1]);
  assert.ok(names.length >= 6);
  for (const name of names) {
    const directory = run_('pkg-config', '--variable=pcfiledir', name).stdout.trim();
    assert.ok(directory !== '', name);
    const wanted = package_(path.join(directory, `${name}.pc`));
    assert.ok(build.includes(` ${wanted}`), `the build stage lacks ${wanted}, for meson's ${name}`);
  }
  // Those that the program names itself: a package of Debian brings along what its library needs.
  const needed = [...run_('readelf', '-d', sennit).stdout.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1]);
  assert.ok(needed.length >= 6);
  const libraries = run_('ldd', sennit).stdout.split('\n').map((line) => line.match(/(\S+) => (\/\S+)/)).filter((match) => needed.includes(match?.[1])).map((match) => match[2]);
  if (/VERSION_CODENAME=bookworm/.test(fs.readFileSync('/etc/os-release', 'utf8')) && !libraries.some((file) => /lib[a-z]+san\.so/.test(file))) {
    for (const wanted of new Set(libraries.map(package_))) if (wanted !== 'libc6') assert.ok(last.includes(` ${wanted}`), `the last stage lacks ${wanted}`);
  }
  const user = last.match(/^USER (\d+):(\d+)$/m);
  assert.ok(user && Number(user[1]) > 0 && last.indexOf('USER') > last.lastIndexOf('RUN') && last.indexOf('USER') < last.indexOf('CMD'));
  for (const [, from] of last.matchAll(/^COPY (?!--from)(\S+)/gm)) assert.ok(fs.existsSync(path.join(top, from)), from);
  const ignored = fs.readFileSync(path.join(top, '.dockerignore'), 'utf8').split('\n');
  for (const name of ['.git', 'build*', '**/node_modules']) assert.ok(ignored.includes(name), name);
});

test('absurd flags and files end in a clear error, never by a signal', quickly, async (t) => {
  const state = directory(t), file = path.join(state, 'service.yaml'), odd = path.join(state, 'odd.yaml');
  fs.writeFileSync(file, serviceYaml({ ...managed, annotations: { 'sennit.dev/redis': 'managed' } }));
  const ends = async (args, why, env = {}) => {
    const run = program(['up', ...args], { env: { ...process.env, ...env } });
    const status = await Promise.race([run.ended, sleep(5000).then(() => 'still running')]);
    await run.stop('SIGKILL');
    assert.ok(status === 1 || status === 2, `${args.join(' ').slice(0, 200)}: ${status}\n${run.output.slice(0, 2000)}`);
    assert.match(run.output, why, args.join(' ').slice(0, 200));
    assert.ok(run.output.length < 4000, `${run.output.length} bytes`);
  };
  const numbers = ['-1', '18446744073709551616', '99999999999999999999999', '', 'abc', '1.5', '0x10', ' 1', '1e3', '4294967296000'];
  for (const flag of ['--port', '--status-port', '--connections', '--connections-per-address', '--idle-timeout', '--startup-timeout'])
    for (const number of numbers) await ends([file, `${flag}=${number}`], new RegExp(`${flag}: expected a number from \\d+ to \\d+`));
  for (const flag of ['--connections', '--connections-per-address', '--idle-timeout', '--startup-timeout']) await ends([file, `${flag}=0`], /expected a number from 1 to/);
  await ends([file, '--connections=1000000', '--port=0'], /1000000 connections need more than the \d+ files that may be open: ulimit -n \d+, or fewer/);
  await ends([file, '--port=0', '--state', 'd'.repeat(5000)], /--state DIR.*File name too long/);
  await ends([file, '--port=0', '--state', '/dev/null/x'], /--state DIR.*Not a directory/);
  await ends([file, '--port=0', '--run', ''], /--run: the command is empty/);
  await ends([file, '--port=0', '--run', "''"], /the program .*is not there/);
  await ends([file, '--port=0', '--run', 'a '.repeat(5000)], /--run: the command has more than 1000 words/);
  await ends([file, '--port=0', '--run', 'p'.repeat(50000)], /the program .*p+.* is not there/);
  await ends([file, '--port=0', '--user', 'u'.repeat(50000)], /--user: there is no user/);
  await ends([file, '--port=0', '--env', 'E'.repeat(50000)], /--env takes the name/);
  await ends([file, '--port=0'], /XDG_STATE|directory of its own/, { XDG_STATE_HOME: '/dev/null' });
  await ends([file, '--port=0', ...Array.from({ length: 1001 }, () => ['--env', 'HOME']).flat()], /--env: more than 1000 of them/);
  await ends([file, file], /the service board is in .* already/);
  await ends(Array.from({ length: 101 }, () => file), /more than 100 files/);
  await ends([file, '--port=0', '--default', 'd'.repeat(50000)], /--default: there is no service .*d+/);
  fs.mkdirSync(path.join(state, 'empty'));
  await ends([path.join(state, 'empty')], /no \*\.yaml or \*\.yml in it/);
  await ends([path.join(state, 'f'.repeat(300))], /File name too long/);
  const files = {
    'a huge one': ['#'.repeat(2 << 20), /larger than 1048576 bytes/], 'nothing but NULs': [Buffer.alloc(100), /odd\.yaml/], 'all bytes': [Buffer.from(Array.from({ length: 256 }, (_, n) => n)), /odd\.yaml/],
    'deep nesting': ['['.repeat(100000), /odd\.yaml:1: nested more than 32 deep/], 'a key twice': ['apiVersion: a\napiVersion: a\n', /odd\.yaml:2: "apiVersion" is here for the second time/],
    'a list': ['- a\n', /odd\.yaml/], 'a laugh': ['a: &a [x,x,x,x,x,x,x,x]\n' + Array.from({ length: 9 }, (_, n) => `k${n}: &b${n} [${Array(9).fill(n ? `*b${n - 1}` : '*a').join(',')}]\n`).join(''), /too large/],
  };
  for (const [what, [text, why]] of Object.entries(files)) {
    fs.writeFileSync(odd, text);
    await ends([odd, '--port=0'], why).catch((error) => assert.fail(`${what}: ${error.message}`));
  }
});
