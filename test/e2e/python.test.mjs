// python: python3-socketio with its default options (polling, then WebSocket), and by polling alone, through `sennit up` with four instances
// and random balancing. Its handlers answer questions by what they return.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { pythonWith, temporary, until, up } from './lib.mjs';

const config = `
namespaces:
  /:
    auth: none
    log: {entries: 10000}
    events:
      say: {to: everyone, log: true}
      raw: {to: others, log: true}
      ask: {to: socket, socket: 0, ack: receiver, timeout: 10s}
  "/team-*":
    auth: none
    events: {say: {to: everyone}}
`;
const EACH = 30, CLIENTS = 3;
const script = `
import socketio, sys, time
url, name, kind = sys.argv[1:4]
client, got, raw = socketio.Client(), [], []
client.on("say", lambda who, n, *rest: got.append((who, n)))
client.on("raw", lambda data, *rest: raw.append(data))
client.on("ask", lambda sid, n: ("from " + name, n * 2))
client.on("say", lambda n, *rest: got.append(("team", n)), namespace="/team-1")
client.connect(url, namespaces=["/", "/team-1"], wait_timeout=20, **({"transports": [kind]} if kind != "default" else {}))
print("connected", client.get_sid("/") if hasattr(client, "get_sid") else client.namespaces["/"], flush=True)
other = sys.stdin.readline().strip()
for n in range(${EACH}):
    client.emit("say", (name, n))
answers = [client.call("ask", (other, n), timeout=20) for n in range(5)]
client.emit("raw", bytes(range(256)))
client.emit("say", 7, namespace="/team-1")
deadline = time.time() + 20
wanted = ${EACH} * ${CLIENTS}
while (len([g for g in got if g[0] != "team"]) < wanted or len(raw) < ${CLIENTS} - 1) and time.time() < deadline:
    time.sleep(0.02)
time.sleep(0.2)
# Each handler has a thread of its own, so their order says nothing.
once = sorted(g for g in got if g[0] != "team") == sorted((who, n) for who in ("py0", "py1", "py2") for n in range(${EACH}))
print("RESULT", client.transport(), len([g for g in got if g[0] != "team"]), once, len(raw), all(one == bytes(range(256)) for one in raw), answers, flush=True)
sys.stdin.readline()
client.disconnect()
`;

const python = pythonWith('socketio, requests, websocket');

test('Python through a fleet', { timeout: 90000, skip: python ? false : 'needs python3-socketio, python3-requests and python3-websocket' }, async () => {
  const directory = temporary(), file = path.join(directory, 'client.py'), settings = path.join(directory, 'config.yaml');
  fs.writeFileSync(file, script);
  fs.writeFileSync(settings, config);
  const run = await up({ name: 'python', concurrency: 250, run: `sennit serve --config ${settings}`, env: { SENNIT_ROTATE: 'off' },
    annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': 4 } }, { ready: 4 });
  const node = io(run.url, { forceNew: true });
  node.on('ask', (sid, n, callback) => callback('from node', n + 100));
  const children = ['default', 'polling', 'websocket'].map((kind, i) => {
    const child = spawn(python, [file, run.url, `py${i}`, kind]), one = { kind, child, output: '', closed: once(child, 'close') };
    child.stdout.on('data', (data) => (one.output += data));
    child.stderr.on('data', (data) => (one.output += data));
    return one;
  });
  try {
    const missing = () => [!node.connected && 'node', ...children.map((one) => !/^connected \S+/m.test(one.output) && `${one.kind}: ${one.output}`)];
    await until('all are connected', () => missing().every((one) => !one), 20000).catch((error) => {
      throw new Error(`${error.message}: ${missing().filter(Boolean)}`);
    });
    for (const one of children) one.child.stdin.write(`${node.id}\n`);
    const answers = [];
    for (const [i, one] of children.entries()) {
      const sid = one.output.match(/connected (\S+)/)[1];
      for (let n = 0; n < 5; n++) answers.push([`from py${i}`, n * 2, await new Promise((resolve) => node.emit('ask', sid, n, (...args) => resolve(args)))]);
    }
    for (const [who, n, answer] of answers) assert.deepEqual(answer, [who, n]);
    const wanted = "[('from node', 100), ('from node', 101), ('from node', 102), ('from node', 103), ('from node', 104)]";
    for (const one of children) {
      await until(`${one.kind} has all: ${one.output}`, () => /RESULT .*\n/.test(one.output), 30000); // a whole line
      const transport = one.kind === 'polling' ? 'polling' : 'websocket';
      assert.equal(one.output.match(/RESULT .*/)[0], `RESULT ${transport} ${EACH * CLIENTS} True ${CLIENTS - 1} True ${wanted}`, one.output);
    }
    for (const one of children) one.child.stdin.write('bye\n');
    for (const one of children) await one.closed;
  } finally {
    for (const one of children) one.child.kill();
    node.close();
    await run.close();
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
