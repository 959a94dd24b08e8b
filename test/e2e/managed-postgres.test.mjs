// managed-postgres: `sennit.dev/postgres: managed`: a Postgres beside a service, which is killed, starts again, and is found by programs.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { board, Client, differences, flawless, freePort, load, program, serviceYaml, sleep, temporary, until, up as start } from './lib.mjs';
import { folder, missing } from './postgres.mjs';

const quickly = { timeout: 90000, skip: missing() ?? false };
const isRoot = process.getuid() === 0;
const mayMount = isRoot && spawnSync('unshare', ['-m', '-n', 'true']).status === 0;
const annotations = { 'sennit.dev/postgres': 'managed', 'autoscaling.knative.dev/minScale': 1 };
const mirror = `${process.execPath} -e "require('node:http').createServer((request, response) => response.end(JSON.stringify(process.env))).listen(process.env.PORT)"`;
const two = () => ({ ...board({ min: 2 }), annotations: { ...annotations, 'autoscaling.knative.dev/minScale': 2 } });
const patiently = async (t, service, options = {}) => {
  const run = await start(service, options);
  t.after(() => run.close());
  return until('instances are ready', async () => {
    assert.equal(run.status, null, run.output);
    return (await run.status_().catch(() => ({ instances: [] }))).instances.filter((one) => one.state === 'ready').length >= 1 && run;
  }, 30000).catch((error) => assert.fail(`${error.message}\n${run.output.slice(-3000)}`));
};
// The same again, on the same ports and state folder.
const again = async (t, service) => {
  const { directory, port, statusPort } = service;
  const run = program(['up', path.join(directory, 'service.yaml'), '--port', port, '--status-port', statusPort, '--state', directory, '--log-format', 'json']);
  t.after(async () => {
    await run.stop();
    await sleep(50);
  });
  await until('an instance is ready', async () => {
    assert.equal(run.status, null, run.output);
    return (await service.status_().catch(() => ({ instances: [] }))).instances.some((one) => one.state === 'ready');
  }, 30000);
  return run;
};
const postgres = async (service) => (await service.status_()).postgres;
// Neither gone nor a zombie that nobody has waited for.
const runs = (pid) => {
  try {
    return !/^[ZX]/.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, ''));
  } catch {
    return false;
  }
};
const psql = (socket, database, sql) => {
  const done = spawnSync(path.join(folder, 'psql'), ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-h', path.dirname(socket), '-U', 'postgres', database, '-c', sql], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.trim();
};

test('a program is told where it is; nobody else can reach it; it has a database and our schema, and no port', quickly, async (t) => {
  const service = await patiently(t, { run: mirror, annotations });
  const env = await (await fetch(service.url)).json(), { socket, pid } = await postgres(service);
  assert.equal(socket, path.join(fs.realpathSync(service.directory), 'postgres/.s.PGSQL.5432'));
  assert.equal(env.DATABASE_URL, `postgresql://postgres@/board?host=${path.dirname(socket)}`);
  assert.deepEqual([env.PGHOST, env.PGPORT, env.PGDATABASE, env.PGUSER, env.SENNIT_BROKER], [path.dirname(socket), '5432', 'board', 'postgres', 'postgres']);
  const libpq = (...args) => spawnSync(path.join(folder, 'psql'), ['-XqAt', ...args, '-c', 'SELECT current_database()'], { encoding: 'utf8', env: { PATH: process.env.PATH, ...env } }).stdout.trim();
  assert.deepEqual([libpq(), libpq(env.DATABASE_URL)], ['board', 'board']);
  assert.equal(psql(socket, 'board', 'SELECT count(*) FROM sennit.state'), '1');
  assert.equal(psql(socket, 'board', 'SHOW server_encoding'), 'UTF8');
  assert.equal(psql(socket, 'board', 'SHOW fsync'), 'on');
  const modes = ['', 'data', '.s.PGSQL.5432'].map((name) => (fs.statSync(path.join(path.dirname(socket), name)).mode & 0o777).toString(8));
  assert.deepEqual(modes, ['700', '700', '600']);
  const listening = ['tcp', 'tcp6'].flatMap((name) => fs.readFileSync(`/proc/net/${name}`, 'utf8').split('\n')).map((line) => line.trim().split(/ +/)).filter((line) => line[3] === '0A').map((line) => `socket:[${line[9]}]`);
  const held = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => { try { return fs.readlinkSync(`/proc/${pid}/fd/${fd}`); } catch { return ''; } });
  assert.deepEqual(held.filter((one) => listening.includes(one)), []);
  if (isRoot) {
    assert.match(service.output, /"Postgres does not run as root: it runs as the user postgres"/);
    assert.doesNotMatch(fs.readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\t0\b/m);
    const another = spawnSync(path.join(folder, 'psql'), [env.DATABASE_URL, '-c', 'SELECT 1'], { uid: 65534, gid: 65534, encoding: 'utf8' });
    assert.match(another.stderr, /Permission denied/);
  }
  const began = Date.now();
  await service.stop();
  assert.ok(Date.now() - began < 9000, 'sessions do not hold it up');
  assert.equal(service.status, 0);
  assert.match(service.output, /stopping postgres/);
  assert.ok(!fs.existsSync(path.join(path.dirname(socket), 'data/postmaster.pid')), 'it was shut down, not killed');
});

test('two instances of sennit serve on it: cuts, killed servers and instances, and the log is there after a restart', quickly, async (t) => {
  const service = await patiently(t, two());
  for (const [transport, victim] of [['upgrade', 'instance'], ['polling', 'none'], ['upgrade', 'postgres']]) {
    const going = load(service.url, '-c', 20, '-r', 100, '--publishers', 3, '-d', 4, '--check', '--settle', 20, '--cut-every', 1, '--reconnect-delay', 100, '--transport', transport);
    await sleep(1500);
    const before = (await postgres(service)).pid;
    if (victim === 'instance') process.kill((await service.instances())[0].pid, 'SIGKILL');
    if (victim === 'postgres') {
      process.kill(before, 'SIGKILL');
      await until('it is back', async () => { const { pid, ready } = await postgres(service); return ready && pid !== before; });
    }
    flawless(await going);
  }
  assert.match(service.output, /"postgres ended; restarting it"[^\n]*"signal":9/);
  const client = new Client(service.url), sent = [];
  t.after(() => client.close());
  await client.connected();
  for (let i = 0; i < 30; i++) sent.push(client.draw());
  await client.settled();
  client.close();
  await service.stop();
  await again(t, service);
  const late = new Client(service.url);
  t.after(() => late.close());
  await until('it has the log', () => sent.every((id) => late.got.includes(id)));
  assert.equal(differences(late, sent), '');
});

test('sennit up is killed: its Postgres ends, with a session that does not notice; the next one has the data', quickly, async (t) => {
  const service = await patiently(t, { run: mirror, annotations });
  const { socket, pid } = await postgres(service);
  psql(socket, 'board', 'CREATE TABLE mine (a int); INSERT INTO mine VALUES (7)');
  // It counts, and looks at nothing else.
  const busy = spawn(path.join(folder, 'psql'), ['-h', path.dirname(socket), '-U', 'postgres', 'board', '-c', 'SELECT count(*) FROM generate_series(1, 1000000000) a WHERE a % 7 = 8'], { stdio: 'ignore' });
  t.after(() => busy.kill('SIGKILL'));
  const session = await until('it counts', () => Number(psql(socket, 'postgres', "SELECT pid FROM pg_stat_activity WHERE datname = 'board' AND query LIKE '%generate_series(1, 1000000000)%'") || 0));
  await service.stop('SIGKILL');
  await until('the server is gone', () => !runs(pid));
  const left = runs(session);
  const run = await again(t, service);
  assert.ok(!runs(session));
  assert.equal(psql((await postgres(service)).socket, 'board', 'SELECT a FROM mine'), '7');
  assert.doesNotMatch(run.output, /postgres ended/);
  t.diagnostic(`the session had ${left ? 'outlived' : 'ended with'} its server`);
});

test('another process with the number of the last server does not hold it up', quickly, async (t) => {
  const service = await patiently(t, { run: mirror, annotations });
  const notes = path.join(service.directory, 'postgres/data/postmaster.pid'), socket = path.join(service.directory, 'postgres/.s.PGSQL.5432.lock');
  const theirs = Object.fromEntries([notes, socket].map((file) => [file, fs.readFileSync(file, 'utf8')])), { uid, gid } = fs.statSync(notes);
  await service.stop('SIGKILL');
  const other = spawn('sleep', ['100'], { stdio: 'ignore', ...(isRoot && { uid, gid }) });
  t.after(() => other.kill('SIGKILL'));
  for (const [file, text] of Object.entries(theirs)) fs.writeFileSync(file, text.replace(/^\d+/, other.pid));
  const run = await again(t, service);
  assert.doesNotMatch(run.output, /postgres ended/);
  assert.ok(runs(other.pid));
});

test('a Postgres that an operator runs on its data is left alone, and named', quickly, async (t) => {
  const service = await patiently(t, { run: mirror, annotations });
  const { socket } = await postgres(service), directory = path.dirname(socket), { uid, gid } = fs.statSync(directory);
  await service.stop();
  const own = spawn(path.join(folder, 'postgres'), ['-D', path.join(directory, 'data'), '-c', 'listen_addresses=', '-c', `unix_socket_directories=${directory}`], { stdio: 'ignore', ...(isRoot && { uid, gid }) });
  t.after(async () => {
    own.kill('SIGQUIT');
    if (own.exitCode === null) await once(own, 'close');
  });
  await until('it runs', () => spawnSync(path.join(folder, 'pg_isready'), ['-q', '-h', directory]).status === 0);
  const session = spawn(path.join(folder, 'psql'), ['-h', directory, '-U', 'postgres', 'board', '-c', 'SELECT pg_sleep(60)'], { stdio: 'ignore' });
  t.after(() => session.kill('SIGKILL'));
  await until('it has a session', () => psql(socket, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'") === '1');
  const run = program(['up', path.join(service.directory, 'service.yaml'), '--port', '0', '--state', service.directory, '--log-format', 'json']);
  t.after(() => run.stop());
  await until('the log says so', () => new RegExp(`"postgres ended; restarting it"[^\\n]*sennit up has not started \\(process ${own.pid}\\)[^\\n]*kill -INT ${own.pid}`).test(run.output));
  assert.deepEqual([own.exitCode, session.exitCode], [null, null]);
  own.kill('SIGINT');
  await until('it starts then', () => run.output.includes('"postgres is ready"'));
});

test('with a managed Redis, too, Redis is the broker, unless the file says postgres', quickly, async (t) => {
  const both = { ...annotations, 'sennit.dev/redis': 'managed' };
  for (const [broker, env] of [['redis', {}], ['postgres', { SENNIT_BROKER: 'postgres' }]]) {
    const service = await patiently(t, { ...board({ min: 1 }), annotations: both, env });
    assert.match(service.output, new RegExp(`"listening"[^\\n]*"broker":"${broker}"`));
    const { redis, postgres: { ready } } = await service.status_();
    assert.ok(redis.ready && ready);
    await service.stop();
    assert.equal(service.status, 0);
  }
});

test('a path that does not fit a socket: it is elsewhere, and goes with the end', quickly, async (t) => {
  const state = temporary(), long = path.join(state, 'a folder, with 100%', 'x'.repeat(60));
  t.after(() => fs.rmSync(state, { recursive: true, force: true }));
  fs.mkdirSync(long, { recursive: true });
  for (let one = long; one !== path.dirname(state); one = path.dirname(one)) fs.chmodSync(one, 0o711);
  const service = await patiently(t, two(), { flags: ['--state', long] });
  const { socket } = await postgres(service);
  assert.match(socket, /^[a-zA-Z0-9._/-]{1,107}$/);
  const client = new Client(service.url);
  t.after(() => client.close());
  const id = client.draw();
  await until('the broker carries it', () => client.settled().then(() => id));
  assert.ok(fs.existsSync(path.join(long, 'postgres/data/PG_VERSION')));
  await service.stop();
  assert.ok(!fs.existsSync(path.dirname(socket)));
});

test('an instance in a network and with folders of its own reaches it', { ...quickly, skip: quickly.skip || (!mayMount && 'no namespaces may be made here') }, async (t) => {
  const secrets = temporary();
  t.after(() => fs.rmSync(secrets, { recursive: true, force: true }));
  fs.writeFileSync(path.join(secrets, 'key'), 'x');
  const yaml = serviceYaml({ ...two(), name: 'board' }).replace('      containers:\n', `      volumes:\n        - {name: s, secret: {secretName: key}}\n        - {name: m, emptyDir: {}}\n      containers:\n`) +
    '          volumeMounts:\n            - {name: s, mountPath: /secrets/x}\n            - {name: m, mountPath: /tmp/scratch/of/mine}\n';
  const service = await patiently(t, yaml, { flags: ['--network', 'private', '--secrets', secrets] });
  flawless(await load(service.url, '-c', 10, '-r', 50, '--publishers', 2, '-d', 3, '--check', '--settle', 20, '--cut-every', 1, '--reconnect-delay', 100));
});

test('root becomes an ordinary user, and so does Postgres', { ...quickly, skip: quickly.skip || (!isRoot && 'this is not root') }, async (t) => {
  const state = temporary();
  t.after(() => fs.rmSync(state, { recursive: true, force: true }));
  fs.chmodSync(state, 0o755);
  const own = path.join(state, 'nobodys'), file = path.join(state, 'service.yaml'), port = await freePort();
  fs.mkdirSync(own);
  fs.chownSync(own, 65534, 65534);
  fs.writeFileSync(path.join(state, 'server.pl'), 'use IO::Socket; my $s = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5) or die; while ($s->accept) {}');
  fs.writeFileSync(file, serviceYaml({ run: 'perl server.pl', annotations }));
  const run = program(['up', file, '--port', '0', '--status-port', port, '--log-format', 'json', '--state', own, '--user', 'nobody']);
  t.after(() => run.stop());
  await until('it is ready, or says why not', () => /"postgres is ready"|cannot be prepared/.test(run.output), 30000);
  const { postgres: { pid } } = await (await fetch(`http://127.0.0.1:${port}/status`)).json();
  assert.match(fs.readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\t65534\t65534\t65534\t65534$/m);
});

test('what only the operator can mend is refused with the cure', quickly, async (t) => {
  const state = temporary(), file = path.join(state, 'service.yaml'), data = path.join(state, 'postgres/data');
  t.after(() => fs.rmSync(state, { recursive: true, force: true }));
  fs.chmodSync(state, 0o711);
  fs.writeFileSync(file, serviceYaml({ run: 'true', annotations }));
  const refused = async (why) => {
    const run = program(['up', file, '--port', '0', '--state', state]);
    t.after(() => run.stop('SIGKILL'));
    assert.equal(await Promise.race([run.ended, sleep(8000).then(() => 'still running')]), 1, run.output);
    assert.match(run.output, why);
  };
  fs.mkdirSync(data, { recursive: true });
  fs.chmodSync(path.join(state, 'postgres'), 0o700);
  fs.writeFileSync(path.join(data, 'PG_VERSION'), '9\n');
  await refused(/sennit\.dev\/postgres: managed: the data are of Postgres 9, which is not in \/usr\/lib\/postgresql: apt-get install postgresql-9, or bring them to another version with pg_upgrade/);
  fs.rmSync(path.join(state, 'postgres'), { recursive: true });
  fs.mkdirSync(path.join(state, 'postgres'));
  fs.chmodSync(state, 0o777);
  await refused(/the managed Postgres needs a directory of its own \(--state DIR says which one it gets\): [^\n]*everybody may write into the directory above it: chmod o-w/);
  if (!isRoot) return;
  fs.chmodSync(state, 0o700);
  await refused(/the managed Postgres needs a directory of its own[^\n]*the user \d+ cannot enter it: chmod o\+x it/);
  fs.chmodSync(state, 0o711);
  fs.chownSync(path.join(state, 'postgres'), 12345, 12345);
  await refused(/the managed Postgres needs a directory of its own[^\n]*belongs to another user \(12345\)/);
});
