// The ingress of `sennit up` beside Debian's nginx and HAProxy, in front of the same server, in one run; prints ratios. See README.md.
//
// Each proxy is one process with one thread, started anew in each round. The server behind is `sennit serve`, which sends each message of
// one client to all others; for the bulk it is a program of Node that reads or writes 100 MB through a WebSocket's connection.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { busyNote, fail, freePort, here, listening, machine, median, optionsRead, output, sennit, start, stop, table } from './parts.mjs';

const usage = `usage: node bench/ingress.mjs [OPTION...]

Measures \`sennit up\`, nginx and HAProxy as the proxy of WebSockets: CPU of the proxy for each message that it relays to 1000 tunnels, at 50 and at
500 messages a second; memory of a tunnel at rest, of 1000 that came at once and of many; connects while messages flow; 100 MB each way; many tunnels. Prints ratios to nginx first.

  --quick               one round of 2 s instead of three of 4 s
  --rounds N            so many rounds (default 3)
  --seconds N           so long is published in each (default 4)
  --tunnels N           tunnels that are published to (default 1000)
  --many N              tunnels at once (default 9000)
  --only NAME,NAME      of up, nginx, haproxy
  --help                this text

SENNIT names the program (default build-release/sennit).`;

const options = optionsRead(usage, { rounds: 3, seconds: 4, tunnels: 1000, many: 9000, only: null }, { rounds: 1, seconds: 2 });
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sennit-bench-'));
process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }));
const file = (name, text) => {
  fs.writeFileSync(path.join(directory, name), text);
  return path.join(directory, name);
};

const bulk = file('bulk.cjs', `
  const BYTES = 100 * 1000 * 1000;
  const server = require('node:http').createServer((request, response) => response.end());
  server.on('upgrade', (request, socket) => {
    const accept = require('node:crypto').createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
    socket.write('HTTP/1.1 101 x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
    socket.on('error', () => {});
    let left = BYTES;
    const piece = Buffer.alloc(1 << 20);
    const more = () => {
      for (let goes = true; goes && left > 0; left -= piece.length) goes = socket.write(piece.subarray(0, Math.min(left, piece.length)));
    };
    if (request.url === '/down') { socket.on('drain', more); more(); }
    else socket.on('data', (data) => (left -= data.length) <= 0 && socket.end('!'));
  });
  server.listen(process.env.PORT, '127.0.0.1');`);
const serve = [sennit, 'serve', '--broker', 'memory', '--config', path.join(here, 'relay.yaml'), '--log-level', 'warning'];
const bulky = [process.execPath, bulk];

const nginx = (port, behind) => ['nginx', '-p', directory, '-c', file('nginx.conf', `
daemon off; master_process off; worker_processes 1; pid ${directory}/nginx.pid; error_log ${directory}/nginx.err;
events { worker_connections 19000; }
http { access_log off; ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${directory}/${what};`).join(' ')}
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${behind}; proxy_http_version 1.1; proxy_buffering off;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_read_timeout 3600s; } } }`)];
const haproxy = (port, behind) => ['haproxy', '-db', '-f', file('haproxy.cfg', `
global
  nbthread 1
  maxconn 9500
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server one 127.0.0.1:${behind}
`)];
// One instance takes 1000 requests at most, as on Cloud Run.
const up = (port, argv, instances) => [sennit, 'up', '--port', port, '--request-log', 'none', '--log-level', 'error', '--state', fs.mkdtempSync(path.join(directory, 'state-')),
  file('service.yaml', `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: bench, annotations: {run.googleapis.com/scalingMode: manual, run.googleapis.com/manualInstanceCount: "${instances}"}}
spec:
  template:
    metadata: {annotations: {autoscaling.knative.dev/maxScale: "${instances}"}}
    spec:
      containerConcurrency: 1000
      timeoutSeconds: 3600
      containers: [{image: x, command: ${JSON.stringify(['/usr/bin/env', '-u', 'K_SERVICE', ...argv])}}]
`)];

const names = options.only?.split(',') ?? ['up', 'nginx', 'haproxy'];
const notes = busyNote();
const proxies = names.filter((name) => {
  if (!['up', 'nginx', 'haproxy'].includes(name)) fail(`--only: there is no proxy ${name}`);
  const missing = name !== 'up' && spawnSync(name, ['-v']).error;
  if (missing) notes.push(`${name} is not measured: Debian's package ${name} is not installed`);
  return !missing;
});

// Starts a proxy and what is behind it.
async function open(name, argv, tunnels) {
  const port = await freePort(), back = await freePort();
  const env = { ...process.env, K_SERVICE: '', PATH: `${process.env.PATH}:/usr/sbin` };
  const server = name === 'up' ? null : start(argv, { env: { ...env, PORT: String(back) }, stdio: 'ignore' });
  if (server) await listening(back, server);
  const instances = Math.ceil(tunnels / 1000);
  const line = name === 'up' ? up(port, argv, instances) : name === 'nginx' ? nginx(port, back) : haproxy(port, back);
  const proxy = start(line, { env, stdio: 'ignore' });
  await listening(port, proxy);
  for (let good = 0; good < instances; ) good += (await fetch(`http://127.0.0.1:${port}/`).then((response) => response.status < 500, () => false)) ? 1 : 0;
  const close = async () => {
    await stop(proxy);
    if (server) await stop(server, 'SIGKILL');
  };
  return { name, port, pid: proxy.pid, close };
}

async function behind(name, argv, tunnels, use) {
  const one = await open(name, argv, tunnels);
  try {
    return await use(one.port, one.pid);
  } finally {
    await one.close();
  }
}

const load = async (port, ...args) => JSON.parse(await output([sennit, 'load', `http://127.0.0.1:${port}`, '--json', ...args]));

// MB a second through one tunnel.
async function transfer(port, way) {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`GET /${way} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
  await once(socket, 'data');
  const began = performance.now();
  let got = 0;
  if (way === 'up') socket.write(Buffer.alloc(100e6));
  await new Promise((resolve) => socket.on('data', (data) => (got += data.length) >= (way === 'up' ? 1 : 99e6) && resolve()));
  socket.destroy();
  return 100e3 / (performance.now() - began);
}

// The same load on each in turn, so that a mood of the machine hits all alike: with less CPU to be had, a proxy finds several messages waiting, and
// each is cheaper.
async function messages(results) {
  const all = [];
  for (const name of proxies) all.push(await open(name, serve, options.tunnels));
  for (const { name, port, pid } of all)
    results[name].bytes = (await load(port, '-c', options.tunnels, '--idle', '-d', 2, '--connect-rate', 0, '--pid', pid)).server_bytes_per_client;
  for (const rate of [50, 500]) {
    for (const { name, port, pid } of all) {
      const run = await load(port, '-c', options.tunnels, '--connect-rate', 2000, '-r', rate, '-d', options.seconds, '--no-ack', '--settle', 30, '--pid', pid);
      results[name][`cpu${rate}`] = run.server_cpu_us_per_delivery;
      results[name][`p50_${rate}`] = run.latency_ms.p50;
      if (run.delivered < run.expected) notes.push(`${name} at ${rate}/s delivered ${run.delivered} of ${run.expected}`);
    }
  }
  for (const one of all) await one.close();
}

async function rest(name, got) {
  await behind(name, serve, 1000, async (port) => {
    const flows = load(port, '-c', 100, '-r', 50, '-d', 4, '--no-ack', '--settle', 10);
    const idle = await load(port, '-c', 890, '--idle', '-d', 1, '--connect-rate', 1000);
    got.connects = idle.connects_per_second;
    got.p99_beside = (await flows).latency_ms.p99;
  });
  await behind(name, bulky, 1, async (port) => {
    for (const way of ['up', 'down']) got[way] = median([await transfer(port, way), await transfer(port, way), await transfer(port, way)]);
  });
  await behind(name, serve, options.many, async (port, pid) => {
    const run = await load(port, '-c', options.many, '--idle', '-d', 2, '--connect-rate', 1000, '--pid', pid);
    got.many = run.connected;
    got.bytes_many = run.server_bytes_per_client;
  });
}

const columns = [
  { key: 'cpu50', title: 'CPU/message at 50/s, µs', ratio: true, digits: 2 },
  { key: 'cpu500', title: 'at 500/s, µs', ratio: true, digits: 2 },
  { key: 'bytes', title: 'tunnel at rest, B', ratio: true, digits: 0 },
  { key: 'bytes_many', title: `one of ${options.many}, B`, ratio: true, digits: 0 },
  { key: 'p50_50', title: 'p50 at 50/s, ms', digits: 1 },
  { key: 'p50_500', title: 'p50 at 500/s, ms', digits: 1 },
  { key: 'connects', title: 'connects/s of 1000 beside messages', digits: 0 },
  { key: 'p99_beside', title: 'their p99, ms', digits: 1 },
  { key: 'up', title: '100 MB up, MB/s', digits: 0 },
  { key: 'down', title: 'down, MB/s', digits: 0 },
  { key: 'many', title: `of ${options.many} tunnels at once`, digits: 0 },
];

const results = Object.fromEntries(proxies.map((name) => [name, []]));
for (let round = 0; round < options.rounds; round++) {
  proxies.push(proxies.shift());
  const these = Object.fromEntries(proxies.map((name) => [name, {}]));
  process.stderr.write(`round ${round + 1} of ${options.rounds}\n`);
  await messages(these);
  for (const name of proxies) await rest(name, these[name]);
  for (const name of proxies) results[name].push(these[name]);
}
const rows = Object.fromEntries(proxies.map((name) => [name, Object.fromEntries(columns.map(({ key }) => [key, median(results[name].map((run) => run[key]))]))]));
console.log(`${machine()}; medians of ${options.rounds} round${options.rounds > 1 ? 's' : ''}\n`);
if (rows.nginx) {
  const compared = columns.filter(({ ratio }) => ratio);
  console.log("Divided by nginx's (less is better):\n");
  table(['proxy', ...compared.map(({ title }) => title.replace(/, .*/, ''))], proxies.map((name) => [name, ...compared.map(({ key }) => (rows[name][key] / rows.nginx[key]).toFixed(2))]));
}
table(['proxy', ...columns.map(({ title }) => title)], proxies.map((name) => [name, ...columns.map(({ key, digits }) => rows[name][key].toFixed(digits))]));
for (const note of notes) console.log(`- ${note}`);
process.exit(0);
