// new: `sennit new` writes a service that builds and runs at once, with what `make install` installs; and docs/tutorial.md, whose commands
// are run and whose answers are compared.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { freePort, sennit, temporary, top, until } from './lib.mjs';

const build = path.resolve(fs.realpathSync(sennit), '../../..');
const folder = temporary();
const running = new Set();
let env;

// The installed files, in a folder of the test's own, with the environment that a user would set.
before(() => {
  const installed = path.join(folder, 'installed');
  const done = spawnSync('meson', ['install', '-C', build, '--no-rebuild', '--quiet', '--destdir', installed], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stdout + done.stderr);
  const files = spawnSync('find', [installed], { encoding: 'utf8' }).stdout.split('\n');
  const where = (name) => path.dirname(files.find((file) => file.endsWith(`/${name}`)));
  // In place of the network: npm takes the packages that are here.
  const commands = path.join(folder, 'commands');
  fs.mkdirSync(commands);
  fs.writeFileSync(path.join(commands, 'npm'), `#!/bin/sh\n[ "$*" = "install socket.io-client" ] && ln -s ${path.join(top, 'node_modules')} node_modules\n`, { mode: 0o755 });
  const sanitized = fs.readFileSync(path.join(where('libsennit.so'), 'libsennit.so')).includes('__asan_init') ? '-fsanitize=address,undefined' : '';
  env = { PATH: `${commands}:${where('bin/sennit')}:${process.env.PATH}`, PKG_CONFIG_PATH: where('sennit.pc'), PKG_CONFIG_SYSROOT_DIR: installed,
    HOME: folder, XDG_STATE_HOME: path.join(folder, 'state'), LANG: 'C', CFLAGS: sanitized, LDFLAGS: sanitized };
});
after(async () => {
  for (const child of running) child.kill('SIGTERM');
  await Promise.all([...running].map((child) => once(child, 'close')));
  fs.rmSync(folder, { recursive: true, force: true });
});

const command = (line, cwd = folder) => spawnSync('bash', ['-ec', line], { cwd, env, encoding: 'utf8' });
function succeeds(line, cwd) {
  const done = command(line, cwd);
  assert.equal(done.status, 0, `${line}\n${done.stdout}${done.stderr}`);
  return done.stdout;
}

// A program that goes on until it is stopped; `lines` are those of its output that nobody has taken yet.
function start(line, cwd, more = {}) {
  const child = spawn('bash', ['-c', `exec ${line}`], { cwd, env: { ...env, ...more }, stdio: ['pipe', 'pipe', 'pipe'] });
  const run = { child, output: '', taken: [] };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (run.output += data));
  running.add(child);
  child.on('close', () => running.delete(child));
  run.stop = async () => {
    child.kill('SIGINT');
    if (running.has(child)) await once(child, 'close');
    assert.doesNotMatch(run.output, /(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:|Assertion .* failed/);
    return child.exitCode;
  };
  run.left = () => {
    const left = run.output.split('\n').filter((one) => one !== '');
    for (const one of run.taken) left.splice(left.indexOf(one), 1);
    return left;
  };
  run.take = async (one) => {
    await until(`${line} says "${one}", not only\n${run.output}`, () => {
      if (run.left().includes(one)) return true;
      if (!running.has(child)) throw new Error(`${line} has ended: ${run.output}`);
    });
    run.taken.push(one);
  };
  return run;
}

const listens = (url, run) => until(`${url} answers`, async () => {
  if (!running.has(run.child)) throw new Error(run.output);
  return (await fetch(`${url}/ready`).catch(() => null))?.ok;
});

const clients = [];
after(() => clients.forEach((socket) => socket.close()));
function client(url) {
  const socket = io(url, { transports: ['websocket'], forceNew: true });
  socket.got = [];
  socket.on('said', (text) => socket.got.push(text)); // behind it is the position in the log
  clients.push(socket);
  return socket;
}

test('sennit new refuses names that no service may have, and folders that are there', () => {
  const refused = (words, text) => {
    const done = command(`sennit new ${words}`);
    assert.notEqual(done.status, 0, words);
    assert.match(done.stderr, text);
  };
  refused('', /which name\? like: sennit new chat/);
  refused('one two', /one service at a time/);
  for (const name of ['Chat', 'chat_room', '1chat', 'chat-', '../chat', 'a.b', "''", 'x'.repeat(50)]) refused(name, /at most 49 lower-case letters, digits and hyphens.*Like: sennit new chat/);
  refused('test', /Meson has a target "test".*choose another name/);
  assert.deepEqual(fs.readdirSync(folder).sort(), ['commands', 'installed']);
  fs.mkdirSync(path.join(folder, 'there'));
  refused('there', /nothing is written; choose another name.*there: cannot be made: File exists/);
  assert.deepEqual(fs.readdirSync(path.join(folder, 'there')), []);
  assert.match(succeeds('sennit new --help'), /Writes a folder NAME/);
});

test('what it writes builds without a warning, and two clients talk, on one instance and over two', async () => {
  assert.match(succeeds('sennit new board-2'), /Next: cd board-2 && meson setup build/);
  const service = path.join(folder, 'board-2');
  assert.deepEqual(fs.readdirSync(service).sort(), ['.gitignore', 'Dockerfile', 'README.md', 'board-2.c', 'meson.build', 'service.yaml', 'talk.mjs']);
  for (const name of fs.readdirSync(service)) assert.doesNotMatch(fs.readFileSync(path.join(service, name), 'utf8'), /@NAME@/, name);
  succeeds('meson setup build --werror --warnlevel 2 -Dc_args=-Wno-unused-parameter && ninja -C build', service);

  const port = await freePort();
  const one = start('build/board-2', service, { PORT: String(port) });
  await listens(`http://127.0.0.1:${port}`, one);
  const [a, b] = [client(`http://127.0.0.1:${port}`), client(`http://127.0.0.1:${port}`)];
  await until('both are connected', () => a.connected && b.connected);
  assert.deepEqual(await a.timeout(5000).emitWithAck('say', 'hello'), undefined);
  await until('both have it', () => a.got.length === 1 && b.got.length === 1);
  assert.equal(await b.timeout(5000).emitWithAck('say', 7), 'say expects a text');
  assert.deepEqual(b.got, ['hello']);
  for (const socket of [a, b]) socket.close();
  assert.equal(await one.stop(), 0);

  assert.match(succeeds('sennit up --check service.yaml', service), /board-2/);
  const [front, status] = [await freePort(), await freePort()];
  const up = start(`sennit up service.yaml --port ${front} --status-port ${status}`, service);
  await listens(`http://127.0.0.1:${front}`, up);
  const busy = async () => (await (await fetch(`http://127.0.0.1:${status}/status`)).json()).instances.filter((instance) => instance.requests > 0).length;
  const many = [];
  await until('clients are on both instances', async () => {
    if (many.length < 30) many.push(client(`http://127.0.0.1:${front}`));
    return many.every((socket) => socket.connected) && (await busy()) === 2;
  });
  await many[0].timeout(5000).emitWithAck('say', 'over two');
  await until('all have it', () => many.every((socket) => socket.got.length === 1));
  for (const socket of many) socket.close();
  assert.equal(await up.stop(), 0);
});

test('the tutorial, to the letter but for the port', async () => {
  const page = fs.readFileSync(path.join(top, 'docs/tutorial.md'), 'utf8');
  const port = await freePort();
  const terminals = {};
  let server = null, cwd = folder;
  const blocks = [...page.matchAll(/^```(\w+) ?(\w*)\n(.*?)^```$/gms)].map(([, kind, who, text]) => ({ kind, who, text }));
  const stop = async () => {
    for (const [who, terminal] of Object.entries(terminals)) {
      assert.deepEqual(terminal.left(), [], `${who} sees more than the page says`);
      terminal.child.stdin.end();
      await once(terminal.child, 'close');
      delete terminals[who];
    }
    if (server !== null) assert.equal(await server.stop(), 0);
    server = null;
  };
  for (const { kind, who, text } of blocks) {
    if (kind === 'sh' && /^(build\/chat|ninja -C build && sennit up .*)\n$/.test(text)) {
      await stop();
      const parts = text.trim().split(' && ');
      for (const part of parts.slice(0, -1)) succeeds(part, cwd);
      server = start(parts.at(-1) + (parts.at(-1).startsWith('sennit up') ? ` --port ${port}` : ''), cwd, { PORT: String(port) });
      await listens(`http://localhost:${port}`, server);
    } else if (kind === 'sh') {
      cwd = succeeds(`${text}\npwd`, cwd).trimEnd().split('\n').at(-1);
    } else if (kind === 'c') {
      fs.writeFileSync(path.join(cwd, 'chat.c'), text);
    } else {
      assert.equal(kind, 'console');
      for (const line of text.trimEnd().split('\n')) {
        if (line.startsWith('$ ')) terminals[who] = start(line.slice(2), cwd, { PORT: String(port) });
        else if (line.startsWith('> ')) terminals[who].child.stdin.write(`${line.slice(2)}\n`);
        else await terminals[who].take(line);
      }
    }
  }
  assert.deepEqual(Object.keys(terminals).sort(), ['ann', 'bob']);
  await stop();
});
