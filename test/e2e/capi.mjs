// capi: instances of programs in C, and stock clients that note what they get; for the files that try sennit.h.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { io } from 'socket.io-client';
import { freePort, sennit, until } from './lib.mjs';

export const build = path.resolve(fs.realpathSync(sennit), '../../..');
export const probe = path.join(build, 'test/e2e/capi/capi_probe');

const running = new Set(), clients = [];

// One instance: of `file`, with these arguments.
export async function instance(file, args = [], env = {}) {
  const port = await freePort();
  const child = spawn(file, ['--port', String(port), '--log-format', 'json', ...args],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, K_SERVICE: '', REDIS_URL: '', SENNIT_BROKER: '', ...env } });
  const run = { port, url: `http://127.0.0.1:${port}`, pid: child.pid, output: '', input: child.stdin };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (run.output += data));
  const ended = once(child, 'close').finally(() => running.delete(child));
  running.add(child);
  run.stop = async (signal = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    const [code] = await ended;
    assert.doesNotMatch(run.output, /(Address|Leak|UndefinedBehavior)Sanitizer|runtime error:|Assertion .* failed/);
    return code;
  };
  await until(`${path.basename(file)} listens`, () => {
    if (child.exitCode !== null) throw new Error(run.output);
    return run.output.includes('"listening"');
  });
  return run;
}

// A stock client of this address and namespace.
export function dial(url, options = {}) {
  const socket = io(url, { transports: ['websocket'], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100, ...options });
  socket.got = [];
  socket.onAny((...args) => socket.got.push(args));
  socket.had = (name, check = () => true) => until(`${name} has come, not only ${JSON.stringify(socket.got)}`, () => socket.got.find((one) => one[0] === name && check(...one.slice(1))));
  socket.ask = (...args) => new Promise((resolve, reject) => socket.timeout(8000).emit(...args, (late, ...answer) => (late ? reject(new Error(`no answer to ${args}`)) : resolve(answer))));
  clients.push(socket);
  return socket;
}

// The same, once it is connected.
export async function client(server, nsp = '/', options = {}) {
  const socket = dial(`${server.url}${nsp}`, options);
  await until(`a client of ${nsp} is connected`, () => socket.connected);
  return socket;
}

export function end() {
  for (const socket of clients) socket.close();
  for (const child of running) child.kill('SIGKILL'); // of a test that failed
}
