// network: an instance's own network, for programs that insist on their port, and --network.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { freePort, serviceYaml, temporary, until, up } from './lib.mjs';

const may = spawnSync('unshare', ['--net', 'true']).status === 0;
const quickly = { timeout: 60000 }, ours = { ...quickly, skip: !may && 'a network namespace needs root' };
const outside = spawnSync('slirp4netns', ['--version']).status === 0;

// Answers by what it sees, and asks what its request names.
const program = (listen) => `
const http = require('node:http'), net = require('node:net');
const ask = (url) => fetch(url, { headers: { 'Metadata-Flavor': 'Google' } }).then((got) => got.text(), (error) => 'failed: ' + error.cause);
const redis = () => new Promise((done) => { const socket = net.connect(process.env.REDISPORT, process.env.REDISHOST, () => socket.write('PING\\r\\n')).on('data', (data) => done(String(data))).on('error', (error) => done(String(error))); });
const first = process.env.AT_START && ask(process.env.AT_START);
http.createServer(async (request, response) => response.end(JSON.stringify({ first: await first, port: process.env.PORT, peer: request.socket.remoteAddress.replace('::ffff:', ''), host: process.env.GCE_METADATA_HOST,
  metadata: await ask('http://' + process.env.GCE_METADATA_HOST + '/computeMetadata/v1/instance/id'), redis: process.env.REDISPORT && await redis(), asked: request.url.length > 1 && await ask(decodeURIComponent(request.url.slice(1))) }))).listen(${listen});`;

async function begin(t, listen, { port, flags = [], annotations = {}, instances = 1, ...options } = {}) {
  const directory = temporary(), file = path.join(directory, 'program.js');
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  fs.writeFileSync(file, program(listen));
  const spec = { run: `${process.execPath} ${file}`, concurrency: 1, annotations: { 'autoscaling.knative.dev/minScale': instances, ...annotations } };
  const service = await up(serviceYaml(spec) + (port ? `          ports: [{containerPort: ${port}}]\n` : ''), { ready: instances, flags, ...options });
  t.after(() => service.close());
  return service;
}
const get = async (service, path_ = '/') => (await fetch(service.url + path_)).json();

test('two instances of a program that insists on the containerPort', ours, async (t) => {
  const port = await freePort(), service = await begin(t, port, { port, instances: 2, annotations: { 'sennit.dev/redis': 'managed' } });
  const answers = await Promise.all([get(service), get(service)]); // of one each
  assert.deepEqual(answers.map((one) => one.port), [String(port), String(port)]);
  assert.notEqual(answers[0].metadata, answers[1].metadata);
  for (const answer of answers) {
    assert.match(answer.peer, /^169\.254\./);
    assert.equal(answer.host, '169.254.169.254');
    assert.match(answer.metadata, /-\d+$/);
    assert.equal(answer.redis, '+PONG\r\n');
  }
  assert.equal(service.output.match(/"severity":"WARNING"[^\n]*networks of their own[^\n]*"containerPort":/g).length, 1);
  assert.doesNotMatch(service.output, /ended before it listened/);
});

test('one that finds its port taken', ours, async (t) => {
  const taken = http.createServer().listen(0);
  t.after(() => taken.close());
  await once(taken, 'listening');
  const service = await begin(t, taken.address().port, { port: taken.address().port });
  assert.equal((await get(service)).port, String(taken.address().port));
});

test('--network private: PORT is the containerPort, and the outside is there, this machine as 10.0.2.2', ours, async (t) => {
  const service = await begin(t, 'process.env.PORT', { flags: ['--network', 'private'], instances: 2 });
  const here = http.createServer((request, response) => response.end('here')).listen(0, '127.0.0.1');
  t.after(() => here.close());
  await once(here, 'listening');
  assert.equal((await get(service)).port, '8080');
  assert.match((await get(service, '/' + encodeURIComponent('http://metadata.google.internal/computeMetadata/v1/instance/id'))).asked, /-\d+$/);
  assert.match((await get(service, '/' + encodeURIComponent(`http://127.0.0.1:${here.address().port}/`))).asked, /^failed/);
  if (!outside) {
    assert.match(service.output, /do not lead outside: install slirp4netns/);
    return;
  }
  await until('it reaches this machine', async () => (await get(service, '/' + encodeURIComponent(`http://10.0.2.2:${here.address().port}/`))).asked === 'here');
});

// slirp4netns as a script of ours, in front of the real one in PATH.
async function withOutside(t, script, env = {}) {
  const place = temporary();
  t.after(() => fs.rmSync(place, { recursive: true, force: true }));
  fs.writeFileSync(path.join(place, 'slirp4netns'), `#!/bin/sh\nPATH=\${PATH#*:}\n${script}\n`, { mode: 0o755 });
  return begin(t, 'process.env.PORT', { flags: ['--network', 'private'], env: { ...env, PATH: `${place}:${process.env.PATH}` } });
}

test('the outside is there when the program starts, also where that takes a while', { ...ours, skip: ours.skip || (!outside && 'there is no slirp4netns') }, async (t) => {
  const here = http.createServer((request, response) => response.end('here')).listen(0, '127.0.0.1');
  t.after(() => here.close());
  await once(here, 'listening');
  const service = await withOutside(t, 'sleep 0.5; exec slirp4netns "$@"', { AT_START: `http://10.0.2.2:${here.address().port}/` });
  assert.equal((await get(service)).first, 'here');
});

test('a slirp4netns that fails or hangs costs the way outside, and its error names the cure', ours, async (t) => {
  const fails = await withOutside(t, 'echo "no such device" >&2; exit 1');
  assert.equal((await get(fails)).port, '8080');
  await until('it is told', () => /"severity":"ERROR","message":"slirp4netns has ended: the instance does not reach the outside; see that \/dev\/net\/tun is there[^\n]*"status":1[^\n]*"said":"no such device"/.test(fails.output));
  const hangs = await withOutside(t, 'exec sleep 1000');
  assert.equal((await get(hangs)).port, '8080');
  assert.match(hangs.output, /"severity":"ERROR","message":"slirp4netns has not made the instance's way outside in time, and is ended; see that/);
});

test('one that listens on 127.0.0.1 alone is told so', ours, async (t) => {
  const service = await begin(t, "process.env.PORT, '127.0.0.1'", { flags: ['--network', 'private'], instances: 0, annotations: { 'autoscaling.knative.dev/minScale': 1 } });
  await until('it is told', () => /"severity":"ERROR"[^\n]*listens on 127\.0\.0\.1 only, and gets no requests[^\n]*"PORT":8080/.test(service.output), 8000);
});

test('--network shared: a program that insists is told, and no more', quickly, async (t) => {
  const port = await freePort(), service = await begin(t, port, { port, flags: ['--network', 'shared'], instances: 0, annotations: { 'autoscaling.knative.dev/minScale': 1 } });
  await until('it is told', () => new RegExp(`another port than \\$PORT[^\\n]*"listens_on":${port},`).test(service.output), 8000);
  assert.match(service.output, /name its port as containerPort/);
  assert.doesNotMatch(service.output, /networks of their own/);
});

test('--network private without the rights for it is refused at the start', { ...quickly, skip: process.getuid() !== 0 && 'this is not root' }, async (t) => {
  const service = await up(serviceYaml({ run: 'true' }), { flags: ['--network', 'private', '--user', 'nobody'] });
  t.after(() => service.close());
  await until('it ends', () => service.status !== null, 8000);
  assert.equal(service.status, 1);
  assert.match(service.output, /--network private: a network namespace cannot be made: [^\n]*needs root, without --user/);
});

test('SIGKILL leaves no slirp4netns behind', { ...ours, skip: ours.skip || (!outside && 'there is no slirp4netns') }, async (t) => {
  const service = await begin(t, 'process.env.PORT', { flags: ['--network', 'private'] });
  const { instances: [one] } = await service.status_();
  const children = () => fs.readdirSync('/proc').filter((pid) => { try { return /^slirp4netns\0/.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')) && fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`/proc/${service.pid}/`); } catch { return false; } });
  assert.equal(children().length, 1);
  await service.stop('SIGKILL');
  await until('all is gone', () => children().length === 0 && !fs.existsSync(`/proc/${one.pid}/exe`));
});
