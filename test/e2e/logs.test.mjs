// logs: `sennit logs` of a running `sennit up`: requests, output of programs, events; filters, formats, --follow.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { program, serviceYaml, sleep, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
// Logs what it is asked for: /warn in JSON, /plain on standard error; /503 fails.
const server = `${process.execPath} -e "require('node:http').createServer((request, response) => { if (request.url === '/warn') console.log(JSON.stringify({ severity: 'WARNING', message: 'careful', 'logging.googleapis.com/trace': 'projects/p/traces/7', user: 5 })); else console.error('plain ' + request.url + String.fromCharCode(27)); response.statusCode = request.url === '/503' ? 503 : 200; response.end() }).listen(process.env.PORT)"`;

async function up(t) {
  const service = await start(serviceYaml({ run: server }) + '---\n' + serviceYaml({ name: 'other', run: server }), { flags: ['--request-log', 'failed'] });
  t.after(async () => {
    await service.again?.stop(); // it writes in the folder that goes
    await service.close();
  });
  await until('it serves', () => service.output.includes('"serving"'));
  return service;
}
async function logs(service, ...args) {
  const run = program(['logs', '--state', service.directory, ...args]);
  await run.ended;
  return run;
}
const entries = async (service, ...args) => {
  const run = await logs(service, '--format', 'json', ...args);
  assert.equal(run.status, 0, run.output);
  return run.output.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
};
const get = (service, target, name = 'board') => new Promise((resolve, reject) => http.get({ host: '127.0.0.1', port: service.port, path: target, agent: false, headers: { Host: `${name}.localhost` } },
  (response) => response.resume().on('end', () => resolve(response.statusCode))).on('error', reject));

test('requests, output and events are there, and can be chosen', quickly, async (t) => {
  const service = await up(t);
  assert.equal(await get(service, '/warn?a=1'), 200);
  assert.equal(await get(service, '/warn'), 200);
  assert.equal(await get(service, '/503'), 503);
  assert.equal(await get(service, '/there', 'other'), 200);
  await until('all is there', async () => (await entries(service)).filter((one) => one.httpRequest).length >= 4);
  const all = await entries(service, 'board');
  assert.ok(all.every((one) => one.resource.labels.service_name === 'board'));
  const request = all.find((one) => one.httpRequest?.status === 503);
  assert.equal(request.logName, 'run.googleapis.com/requests');
  assert.equal(request.severity, 'ERROR');
  assert.equal(request.httpRequest.requestUrl, '/503');
  assert.match(request.httpRequest.latency, /^\d+\.\d{3}s$/);
  assert.match(request.trace, /^projects\/.+\/traces\/[0-9a-f]{32}$|^[0-9a-f]{32}$/);
  const said = all.find((one) => one.jsonPayload?.message === 'careful');
  assert.deepEqual([said.severity, said.trace, said.jsonPayload, said.logName, said.resource.labels.instance],
    ['WARNING', 'projects/p/traces/7', { message: 'careful', user: 5 }, 'run.googleapis.com/stdout', 'board-00001-1']);
  assert.ok(all.some((one) => one.textPayload === 'plain /503\u001b' && one.logName === 'run.googleapis.com/stderr'));
  assert.ok(all.some((one) => one.logName === 'run.googleapis.com/varlog/system' && one.jsonPayload.message === 'instance is ready'));
  assert.deepEqual(all.map((one) => one.timestamp), all.map((one) => one.timestamp).sort());
  assert.ok((await entries(service, '--severity', 'warning')).every((one) => ['WARNING', 'ERROR'].includes(one.severity)));
  assert.ok((await entries(service, '--instance', 'other-00001-1')).every((one) => one.resource.labels.service_name === 'other'));
  assert.equal((await entries(service, '--revision', 'board-00002')).length, 0);
  assert.equal((await entries(service, '--since', '5m')).length, (await entries(service)).length);
  const text = await logs(service, 'board');
  assert.match(text.output, /Z ERROR board-00001-1 requests: GET \/503 503 \d+\.\d{3}s\n/);
  assert.match(text.output, /Z WARNING board-00001-1 stdout: careful user=5\n/);
  assert.match(text.output, /stderr: plain \/503\\x1b\n/); // harmless
  assert.ok(!service.output.includes('"path":"/warn'), 'the log of sennit up has the failed ones only');
});

test('entries stay when sennit up has ended, however it did, and those of earlier ones with them', quickly, async (t) => {
  const service = await up(t);
  assert.equal(await get(service, '/first'), 200);
  assert.equal(await get(service, '/503', 'other'), 503);
  await until('both are there', async () => (await entries(service)).filter((one) => one.httpRequest).length >= 2);
  const before = await entries(service);
  await sleep(300);
  await service.stop('SIGKILL');
  const run = await logs(service, '--format', 'json');
  assert.equal(run.status, 0, run.output);
  const lines = run.output.trim().split('\n'), note = lines.find((line) => !line.startsWith('{'));
  assert.match(note, /^sennit logs: no sennit up runs on this state folder; earlier ones left these, until 20\d\d-.*Z$/);
  assert.deepEqual(lines.filter((line) => line !== note).map((line) => JSON.parse(line)).slice(0, before.length), before);
  assert.match((await logs(service, '--severity', 'ERROR', '--since', '5m', 'other')).output, /^\S+ ERROR other-00001-1 requests: GET \/503 503 \d/m);
  assert.doesNotMatch((await logs(service, 'board')).output, /other-00001/);
  // one that runs answers for itself; --past has both
  const again = service.again = program(['up', path.join(service.directory, 'service.yaml'), '--port', service.port, '--state', service.directory, '--log-format', 'json']);
  await until('it serves again', () => again.output.includes('"serving"'));
  assert.equal(await get(service, '/second'), 200);
  await until('it is there', async () => (await logs(service)).output.includes('GET /second 200'));
  assert.doesNotMatch((await logs(service)).output, /GET \/first/);
  await until('both are', async () => /GET \/first 200[^]*GET \/second 200/.test((await logs(service, '--past')).output));
  await again.stop();
  assert.match((await logs(service)).output, /GET \/first 200[^]*GET \/second 200/);
  assert.equal(fs.statSync(path.join(service.directory, 'control/logs.jsonl')).mode & 0o777, 0o600);
});

test('--follow goes on, and ends with sennit up', quickly, async (t) => {
  const service = await up(t);
  const run = program(['logs', '--state', service.directory, '--follow', 'board']);
  t.after(() => run.stop());
  await get(service, '/first');
  await until('the first is there', () => run.output.includes('requests: GET /first 200'));
  await get(service, '/second');
  await until('the second is there', () => run.output.includes('requests: GET /second 200'));
  assert.equal(run.output.match(/requests: GET \/first/g).length, 1);
  await service.stop();
  await run.ended;
  assert.match(run.output, /no sennit up of this user answers/);
});

test('what is wrong is refused with the cure', quickly, async (t) => {
  const service = await up(t);
  assert.match((await logs(service, 'nobody')).output, /there is no service "nobody": `sennit services` lists them/);
  for (const [option, value, cure] of [['--severity', 'loud', /like WARNING/], ['--since', '5x', /a time like 5m/], ['--format', 'xml', /text or json/]]) {
    const run = await logs(service, option, value);
    assert.equal(run.status, 2);
    assert.match(run.output, cure);
  }
});
