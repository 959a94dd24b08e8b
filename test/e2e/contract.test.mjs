// contract: rows of docs/up.md's table that no other file tests: what surrounds a program, and what the ingress does at the edges.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { serviceYaml, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
// Evaluates the expression of the query; /slow begins an answer and never ends it; /probe answers as always.
const server = `${process.execPath} -e "const fs = require('node:fs'); require('node:http').createServer((request, response) => { if (request.url === '/slow') return response.write('begun'); let answer = ''; try { answer = eval(decodeURIComponent(request.url.slice(2))) } catch (error) { answer = error.code } response.end(JSON.stringify(answer)) }).listen(process.env.PORT)"`;
const ask = async (service, expression) => (await fetch(`${service.url}/?${encodeURIComponent(expression)}`)).json();

async function up(t, options = {}) {
  const service = await start(serviceYaml({ run: server, annotations: { 'autoscaling.knative.dev/minScale': 1 }, ...options }), { ready: 1 });
  t.after(() => service.close());
  return service;
}
// All that comes back on a connection, until its end.
const raw = (port, text) => new Promise((resolve) => {
  let got = '';
  const socket = net.connect(port, '127.0.0.1', () => socket.write(text)).on('data', (data) => (got += data)).on('error', () => {}).on('close', () => resolve(got));
});

test('a program has this machine\'s files and devices, and the descriptors of the operator', quickly, async (t) => {
  const service = await up(t);
  const file = `${service.directory}/written`;
  await ask(service, `fs.writeFileSync('${file}', 'by the instance'), 1`);
  assert.equal(fs.readFileSync(file, 'utf8'), 'by the instance');
  assert.equal(await ask(service, "(fs.statSync('/tmp').mode & 0o777).toString(8)"), '777');
  // those that Knative's contract asks for; the standard ones are ours
  const missing = await ask(service, "['fd', 'full', 'null', 'ptmx', 'random', 'stdin', 'stdout', 'stderr', 'tty', 'urandom', 'zero'].filter((name) => { try { fs.lstatSync('/dev/' + name) } catch { return true } })");
  assert.deepEqual(missing, ['fd', 'full', 'null', 'ptmx', 'random', 'stdin', 'stdout', 'stderr', 'tty', 'urandom', 'zero'].filter((name) => !fs.lstatSync(`/dev/${name}`, { throwIfNoEntry: false })));
  assert.equal(await ask(service, "fs.readlinkSync('/proc/self/fd/0')"), '/dev/null');
  assert.equal(await ask(service, "fs.readFileSync(0, 'utf8')"), '');
  // the hard limit; node raises its soft one
  const hard = (text) => /Max open files +\d+ +(\d+)/.exec(text)[1];
  assert.equal(hard(await ask(service, "fs.readFileSync('/proc/self/limits', 'utf8')")), hard(fs.readFileSync('/proc/self/limits', 'utf8')));
});

test('HTTP/2 is not spoken: with prior knowledge it is an error, and an upgrade to it is not passed on', quickly, async (t) => {
  const service = await up(t);
  assert.match(await raw(service.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), /^HTTP\/1\.1 (400|505) /);
  const upgraded = await raw(service.port, 'GET /?1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n');
  assert.match(upgraded, /^HTTP\/1\.1 (200|400) /);
  assert.doesNotMatch(upgraded, / 101 /);
});

test('a timeout behind the head cuts the response; its client has seen 200', quickly, async (t) => {
  const service = await up(t, { timeout: 1 });
  const seen = await new Promise((resolve, reject) => http.get(`${service.url}/slow`, (response) => {
    let text = '';
    response.on('data', (data) => (text += data)).on('error', () => {}).on('close', () => resolve({ status: response.statusCode, text, complete: response.complete }));
  }).on('error', reject));
  assert.deepEqual(seen, { status: 200, text: 'begun', complete: false });
  await until('the log says so', () => service.output.includes('maximum request timeout'));
  // the instance goes on
  assert.equal(await ask(service, '1 + 1'), 2);
  assert.equal((await service.instances()).length, 1);
});

test('a response keeps its fields, and gets one', quickly, async (t) => {
  const service = await up(t);
  const response = await fetch(`${service.url}/?1`);
  const names = [...response.headers.keys()].filter((name) => !['connection', 'keep-alive', 'content-length', 'date', 'transfer-encoding'].includes(name));
  assert.deepEqual(names, ['x-sennit-instance']);
});

test('more than 800 requests a second reach one instance', quickly, async (t) => {
  const service = await up(t, { concurrency: 1000 });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 50 });
  t.after(() => agent.destroy());
  const get = () => new Promise((resolve, reject) => http.get(`${service.url}/?1`, { agent }, (response) => response.resume().on('end', () => resolve(response.statusCode))).on('error', reject));
  const all = await Promise.all(Array.from({ length: 2000 }, get));
  assert.ok(all.every((status) => status === 200));
  assert.equal((await service.status_()).instances.length, 1);
});
