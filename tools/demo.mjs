// demo: shows one property of the platform by one command, and checks it: exit status 0 only if it was seen.
//
//     node tools/demo.mjs timeout     a WebSocket and a request that timeoutSeconds cuts, and their lines in the log
//     node tools/demo.mjs scale       from zero to ten instances and back to zero, half an hour in half a minute (--time-scale 60)
//     node tools/demo.mjs deploy      two deployments under 1,000 open sockets on `sennit serve`, with nothing lost (SOCKETS=n)
//     node tools/demo.mjs bill        what a WebSocket that is open for an hour costs (--time-scale 600), by service and day
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const sennit = process.env.SENNIT ? path.resolve(process.env.SENNIT) : path.join(top, 'build/sennit');
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-demo-'));
const begun = Date.now();
const children = [];
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (text) => console.log(`${((Date.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${text}`);

function must(what, holds) {
  if (!holds) throw new Error(`not seen: ${what}`);
  say(`seen: ${what}`);
}
async function until(what, condition, ms = 30000) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(100)) if (await condition()) return;
  throw new Error(`not seen in ${ms / 1000} s: ${what}`);
}

function start(args) {
  const child = spawn(sennit, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const run = { child, output: '', ended: once(child, 'close') };
  child.stdout.on('data', (data) => (run.output += data));
  children.push(run);
  return run;
}
async function command(...args) {
  const run = start(args);
  const [status] = await run.ended;
  return { status, output: run.output };
}

// A server of HTTP and of WebSockets that say nothing.
const silent = `require('node:http').createServer((request, response) => request.url === '/hang' || response.end('ok')).on('upgrade', (request, socket) => {
  socket.on('error', () => {});
  socket.write('HTTP/1.1 101 x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\\r\\n\\r\\n');
}).listen(process.env.PORT);`;
const yaml = ({ run, annotations = {}, concurrency = 80, timeout = 300, env = {} }) => `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: demo}
spec:
  template:
    metadata:
      annotations: ${JSON.stringify({ 'sennit.dev/run': run, ...annotations })}
    spec:
      containerConcurrency: ${concurrency}
      timeoutSeconds: ${timeout}
      containers:
        - image: example.com/none
          env: ${JSON.stringify(Object.entries(env).map(([name, value]) => ({ name, value })))}
`;
const file = path.join(directory, 'service.yaml');

async function up(spec, ...flags) {
  const server = path.join(directory, 'server.cjs');
  fs.writeFileSync(server, silent);
  fs.writeFileSync(file, yaml({ run: `${process.execPath} ${server}`, ...spec }));
  say(`sennit up service.yaml ${flags.join(' ')}`);
  const run = start(['up', file, '--port', '0', '--status-port', '0', '--state', directory, '--log-format', 'json', ...flags]);
  await until('sennit up serves', () => /"message":"status".*"port":\d+/.test(run.output));
  run.port = Number(run.output.match(/"message":"serving".*"port":(\d+)/)[1]);
  run.statusPort = Number(run.output.match(/"message":"status".*"port":(\d+)/)[1]);
  run.url = `http://127.0.0.1:${run.port}`;
  run.status = async () => (await fetch(`http://127.0.0.1:${run.statusPort}/status`)).json();
  run.instances = async () => (await run.status()).instances.filter((one) => one.state === 'ready').length;
  return run;
}
async function socket(service) {
  const one = net.connect(service.port, '127.0.0.1').on('error', () => {});
  one.write('GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  const [head] = await once(one, 'data');
  if (!head.toString().startsWith('HTTP/1.1 101')) throw new Error(head.toString());
  return one;
}
async function stop(run) {
  if (run.child.exitCode === null && run.child.signalCode === null) run.child.kill('SIGTERM');
  await run.ended;
}

const demos = {
  async timeout() {
    const service = await up({ timeout: 3 });
    const open = await socket(service), from = Date.now();
    const hang = fetch(`${service.url}/hang`).then(async (response) => ({ status: response.status, text: await response.text() }));
    say('a WebSocket is open, and a request waits for its answer; timeoutSeconds is 3');
    await once(open, 'close');
    const passed = Date.now() - from, answer = await hang;
    must(`the WebSocket was cut after ${passed} ms`, passed > 2000 && passed < 10000);
    must(`the request got ${answer.status}, "${answer.text.split('\n')[0]}"`, answer.status === 504);
    const log = await command('logs', '--state', directory, '--severity', 'WARNING');
    console.log(log.output.trim());
    must('both have a line in the log', log.output.includes(' 101 ') && log.output.includes(' 504 '));
  },

  async scale() {
    const service = await up({ concurrency: 10, annotations: { 'autoscaling.knative.dev/maxScale': '10' }, timeout: 3600 }, '--time-scale', '60');
    must('no instance runs', (await service.instances()) === 0);
    const open = [];
    let most = 0;
    for (const count of [1, 10, 30, 60]) {
      while (open.length < count) open.push(await socket(service));
      await sleep(1500);
      const instances = await service.instances();
      most = Math.max(most, instances);
      say(`${String(count).padStart(3)} WebSockets: ${instances} instances`);
    }
    await until('ten instances', async () => (most = Math.max(most, await service.instances())) === 10);
    must(`${most} instances for 60 WebSockets at a concurrency of 10: 60 % of the slots`, most === 10);
    for (const one of open) one.destroy();
    const left = Date.now();
    await until('zero instances', async () => (await service.instances()) === 0, 60000);
    must(`no instance again, ${Math.round(((Date.now() - left) * 60) / 60000)} minutes of the platform's clock after the last WebSocket`, true);
  },

  async deploy() {
    const sockets = Number(process.env.SOCKETS ?? 1000), board = path.join(top, 'examples/whiteboard/board.yaml');
    const spec = { run: `${sennit} serve --config ${board}`, concurrency: 1000, timeout: 20, annotations: { 'sennit.dev/redis': 'managed', 'autoscaling.knative.dev/minScale': '2' } };
    const service = await up(spec, '--request-log', 'none');
    await until('two instances', async () => (await service.instances()) >= 2);
    const load = start(['load', service.url, '-c', String(sockets), '-r', '20', '-d', '25', '--settle', '30', '--check']);
    say(`sennit load: ${sockets} WebSockets, 20 messages a second; streams are cut after 20 s`);
    for (const version of ['2', '3']) {
      await sleep(7000);
      fs.writeFileSync(file, yaml({ ...spec, env: { VERSION: version } }));
      const applied = await command('apply', '--state', directory, file);
      must(applied.output.split('\n')[0], applied.status === 0);
      say(`open: ${(await service.status()).services[0].revisions.map((one) => `${one.name} ${one.requests}`).join(', ')}`);
    }
    const [status] = await load.ended;
    console.log(load.output.trim());
    must('every accepted message was delivered once, in one order for all', status === 0);
  },

  async bill() {
    const service = await up({ timeout: 3600 }, '--time-scale', '600');
    say('one WebSocket is open for an hour of the platform\'s clock, six seconds of ours');
    const open = await socket(service);
    await once(open, 'close');
    await sleep(1200);
    console.log((await command('services', '--state', directory)).output.trim());
    await stop(service);
    const bill = await command('bill', '--state', directory);
    console.log(bill.output.trim());
    const said = service.output.split('\n').filter((line) => line.includes('what this would have cost')).map((line) => JSON.parse(line))[0];
    must(`${said.billable_ms} ms were billed: $${said.usd}, and $${said.usd_month} a month at this rate`, said.billable_ms > 3500000 && said.billable_ms < 4500000);
  },
};

const name = process.argv[2];
if (demos[name] === undefined) {
  console.error(`which demonstration? like: node tools/demo.mjs timeout (${Object.keys(demos).join(', ')})`);
  process.exit(2);
}
demos[name]().then(() => say('done'), (error) => {
  console.error(error.message);
  process.exitCode = 1;
}).finally(async () => {
  for (const run of children) await stop(run);
  fs.rmSync(directory, { recursive: true, force: true });
});
