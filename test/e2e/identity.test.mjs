// identity: services that take requests with an identity token alone, the tokens of `sennit token` and of the metadata server, and a service that calls another.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { program, serviceYaml, temporary, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
// Answers with what it got; accepts every WebSocket; at /metadata?PATH it asks the metadata server, at /call it calls board as itself.
const server = `
const http = require('node:http');
const get = (url, headers, method = 'GET') => new Promise((resolve) => http.request(url, { headers, method }, (response) => { let text = ''; response.on('data', (data) => (text += data)).on('end', () => resolve({ status: response.statusCode, headers: response.headers, text })); }).on('error', (error) => resolve({ status: 0, headers: {}, text: error.message })).end());
const metadata = (target, headers = { 'Metadata-Flavor': 'Google' }, method) => get('http://' + process.env.GCE_METADATA_HOST + target, headers, method);
http.createServer(async (request, response) => {
  let answer = { headers: request.headers, env: process.env };
  if (request.url === '/metadata') { const { target, headers, method } = JSON.parse(request.headers['x-ask']); answer = await metadata(target, headers, method); }
  if (request.url === '/call') {
    const host = 'board.localhost:' + request.headers.host.split(':')[1];
    const token = (await metadata('/computeMetadata/v1/instance/service-accounts/default/identity?audience=' + encodeURIComponent('http://' + host))).text;
    answer = await get('http://127.0.0.1:' + host.split(':')[1], { Host: host, Authorization: 'Bearer ' + token });
  }
  response.end(JSON.stringify(answer));
}).on('upgrade', (request, socket) => socket.end('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + require('node:crypto').createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64') + '\\r\\n\\r\\n'))
.listen(process.env.PORT);`;

async function services(t, { flags = [], board = {}, caller = {} } = {}) {
  const folder = temporary();
  fs.writeFileSync(path.join(folder, 'server.js'), server);
  const run = `${process.execPath} ${folder}/server.js`;
  const texts = [serviceYaml({ name: 'board', run, annotations: board }), serviceYaml({ name: 'caller', run, annotations: caller }).replace('    spec:\n      container', '    spec:\n      serviceAccountName: caller@example.com\n      container')];
  const service = await up(texts.join('---\n'), { flags });
  t.after(async () => { // its program is in that folder
    await service.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });
  await until('it serves', () => service.output.includes('"service":"caller"'));
  service.ask = (host, headers = {}, target = '/') => new Promise((resolve, reject) => http.request({ host: '127.0.0.1', port: service.port, path: target, agent: false, headers: { Host: `${host}.localhost:${service.port}`, ...headers } }, (response) => {
    let text = '';
    response.on('data', (data) => (text += data)).on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
  }).on('upgrade', (response, socket) => { socket.destroy(); resolve({ status: response.statusCode }); }).on('error', reject).end());
  service.token = async (...args) => {
    const made = program(['token', '--state', service.directory, '--audience', `http://board.localhost:${service.port}`, ...args]);
    await made.ended;
    assert.equal(made.status, 0, made.output);
    return made.output.trim();
  };
  return service;
}
const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const handshake = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==' };
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

test('without a token 403, with a wrong one 401, with a good one the program sees who calls', quickly, async (t) => {
  const service = await services(t, { board: { 'sennit.dev/allow-unauthenticated': 'false' } });
  const refused = async (headers, status, reason, log) => {
    const answer = await service.ask('board', headers);
    assert.deepEqual([answer.status, answer.headers['x-sennit-reason']], [status, reason], answer.text);
    assert.match(answer.text, /^Your client does not have permission to /);
    assert.equal(answer.headers['www-authenticate'], status === 401 ? 'Bearer error="invalid_token", error_description="The access token could not be verified"' : undefined);
    await until(`the log has ${log}`, () => service.output.split('\n').some((line) => line.includes('"message":"request"') && line.includes(`"reason":"${reason}"`) && line.includes(log)));
  };
  await refused({}, 403, 'token-missing', 'The request was not authenticated');
  await refused(bearer('x.y.z'), 401, 'token-invalid', 'it is no JWT');
  const token = await service.token();
  await refused(bearer(token.replace(/.{20}$/, 'AAAAAAAAAAAAAAAAAAAA')), 401, 'token-invalid', 'the signature is not that of a known key');
  await refused(bearer(await service.token('--audience', 'http://caller.localhost')), 401, 'token-audience', 'the token is for another audience (aud): \\"http://caller.localhost\\"');
  const stranger = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const text = token.split('.').slice(0, 2).join('.');
  await refused(bearer(`${text}.${crypto.sign('sha256', Buffer.from(text), stranger).toString('base64url')}`), 401, 'token-invalid', 'the signature');
  assert.equal((await service.status_()).instances.length, 0, 'nobody who was refused has started an instance');

  const answer = await service.ask('board', bearer(token));
  assert.equal(answer.status, 200, answer.text);
  assert.equal(JSON.parse(answer.text).headers.authorization, `Bearer ${text}.SIGNATURE_REMOVED_BY_GOOGLE`);
  assert.deepEqual([claims(token).email, claims(token).aud, claims(token).exp - claims(token).iat], ['developer@sennit.localhost', `http://board.localhost:${service.port}`, 3600]);
  const both = JSON.parse((await service.ask('board', { 'X-Serverless-Authorization': `Bearer ${token}`, Authorization: 'Basic YTpi' })).text).headers;
  assert.deepEqual([both.authorization, both['x-serverless-authorization']], ['Basic YTpi', `Bearer ${text}.SIGNATURE_REMOVED_BY_GOOGLE`]);
  assert.equal((await service.ask('board', handshake)).status, 403);
  assert.equal((await service.ask('board', { ...handshake, ...bearer(token) })).status, 101);
  assert.equal((await service.ask('caller')).status, 200, 'the other service asks for none');
  const counted = (await service.status_()).refusals;
  assert.deepEqual([counted['token-missing'], counted['token-invalid'], counted['token-audience']], [2, 3, 1]);
  assert.ok(!service.output.includes(token.split('.')[2]) && !service.output.includes(token.split('.')[1]), 'no token is in the log');
  assert.equal(fs.statSync(path.join(service.directory, 'control/identity-key.pem')).mode & 0o777, 0o600);
});

test('a service calls another one with a token of the metadata server', quickly, async (t) => {
  const service = await services(t, { flags: ['--no-allow-unauthenticated', '--project', 'my-project'], board: { 'sennit.dev/invokers': 'caller@example.com' }, caller: { 'sennit.dev/allow-unauthenticated': 'true' } });
  const called = JSON.parse((await service.ask('caller', {}, '/call')).text);
  assert.equal(called.status, 200, called.text);
  assert.deepEqual([claims(JSON.parse(called.text).headers.authorization).email], ['caller@example.com']);
  const person = await service.ask('board', bearer(await service.token()));
  assert.deepEqual([person.status, person.headers['x-sennit-reason']], [403, 'not-an-invoker']);

  const metadata = async (target, headers = { 'Metadata-Flavor': 'Google' }, method = 'GET') => JSON.parse((await service.ask('caller', { 'X-Ask': JSON.stringify({ target: `/computeMetadata/v1/${target}`, headers, method }) }, '/metadata')).text);
  const project = await metadata('project/project-id');
  assert.deepEqual([project.status, project.text, project.headers['metadata-flavor']], [200, 'my-project', 'Google']);
  assert.match((await metadata('instance/id')).text, /^caller-00001-\d+$/);
  assert.equal((await metadata('instance/service-accounts/default/email')).text, 'caller@example.com');
  const access = JSON.parse((await metadata('instance/service-accounts/default/token')).text);
  assert.match(access.access_token, /^sennit-local-not-a-google-token\./);
  assert.deepEqual([access.token_type, access.expires_in], ['Bearer', 3599]);
  for (const [headers, method, status] of [[{}, 'GET', 403], [{ 'Metadata-Flavor': 'Google', 'X-Forwarded-For': '1.2.3.4' }, 'GET', 403], [{ 'Metadata-Flavor': 'Google', Host: 'evil.example' }, 'GET', 403], [{ 'Metadata-Flavor': 'Google' }, 'PUT', 405]]) {
    const answer = await metadata('instance/id', headers, method);
    assert.deepEqual([answer.status, answer.headers['metadata-flavor']], [status, 'Google'], JSON.stringify(headers));
  }
  assert.equal((await metadata('instance/none')).status, 404);
  const counted = (await service.status_()).metadata;
  assert.deepEqual(counted, { answered: 5, refused: 5 });
  const env = JSON.parse((await service.ask('caller')).text).env;
  assert.deepEqual([env.GCE_METADATA_IP, env.GCE_METADATA_ROOT], [env.GCE_METADATA_HOST, env.GCE_METADATA_HOST]);
});

test('connections beyond 32 are closed, and the log says so, also behind a refused request', quickly, async (t) => {
  const service = await services(t);
  const [host, port] = JSON.parse((await service.ask('caller')).text).env.GCE_METADATA_HOST.split(':');
  assert.equal((await fetch(`http://${host}:${port}/computeMetadata/v1/instance/id`, { headers: { connection: 'close' } })).status, 403);
  const sockets = Array.from({ length: 40 }, () => net.connect(port, host).on('error', () => {}));
  t.after(() => sockets.forEach((one) => one.destroy()));
  let ended = 0;
  for (const one of sockets) one.on('close', () => ended++);
  await until('some are closed', () => ended >= 8);
  const told = service.output.match(/"a connection to the metadata server is closed; later ones are counted".*/g) ?? [];
  assert.equal(told.length, 1, service.output);
  assert.match(told[0], /the instance has 32 already: let it close some/);
  assert.ok((await service.status_()).metadata.refused >= 9);
});

test('sennit token needs an audience', quickly, async (t) => {
  const run = program(['token']);
  await run.ended;
  assert.equal(run.status, 2);
  assert.match(run.output, /for which service\? like: sennit token --audience http:\/\/localhost:8080/);
});
