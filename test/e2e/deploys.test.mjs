// deploys: services and revisions of `sennit up` that change while it runs: apply, SIGHUP, traffic, rollback, kill -9.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { board, Client, differences, program, serviceYaml, sleep, until, up as start } from './lib.mjs';

const quickly = { timeout: 60000 };
// Answers with its revision, and holds what asks for /hold.
const server = (text) => `${process.execPath} -e "require('node:http').createServer((request, response) => request.url === '/hold' ? response.write('held') : response.end('${text} ' + process.env.K_REVISION)).listen(process.env.PORT)"`;
const dying = `${process.execPath} -e "console.error('no database'); process.exit(3)"`;
const yaml = (text, more = {}) => serviceYaml({ name: 'board', run: text === null ? dying : server(text), ...more });
const traffic = (document, lines) => document.replace('spec:\n', `spec:\n  traffic:\n${lines.map((line) => `    - ${line}\n`).join('')}`);

async function up(t, ...rest) {
  const service = await start(...rest);
  t.after(async () => {
    await service.again?.stop(); // it writes in the folder that goes
    await service.close();
  });
  await until('it serves', () => service.output.includes('"serving"'));
  return service;
}
// A command that asks the running one.
async function command(service, ...args) {
  const run = program([args[0], '--state', service.directory, ...args.slice(1)]);
  await run.ended;
  return run;
}
const write = (service, text, name = 'service.yaml') => {
  fs.writeFileSync(path.join(service.directory, name), text);
  return path.join(service.directory, name);
};
const applied = async (service, text) => command(service, 'apply', write(service, text, 'changed.yaml'));
const get = (service, host = 'localhost') => new Promise((resolve, reject) => http.get({ host: '127.0.0.1', port: service.port, headers: { Host: host }, agent: false }, (response) => {
  let text = '';
  response.on('data', (data) => (text += data)).on('end', () => resolve(response.statusCode === 200 ? text : `${response.statusCode} ${response.headers['x-sennit-reason']}`));
}).on('error', reject));
const revisions = async (service) => (await service.status_()).services[0].revisions;

test('apply: new requests go to the new revision, open ones stay, and the old instances end behind them', quickly, async (t) => {
  const service = await up(t, yaml('one'), { flags: ['--propagate-disconnect'] }); // so that the held request ends with its client
  assert.equal(await get(service), 'one board-00001');
  const held = net.connect(service.port, '127.0.0.1');
  t.after(() => held.destroy());
  held.write('GET /hold HTTP/1.1\r\nHost: a\r\n\r\n');
  await until('it is held', () => once(held, 'data'));
  let ended = false;
  held.on('close', () => (ended = true));
  const run = await applied(service, yaml('two'));
  assert.equal(run.status, 0, run.output);
  assert.match(run.output, /^Service \[board\] revision \[board-00002\] has been deployed and is serving 100 percent of traffic\.\nService URL: http:\/\/board\.localhost:\d+\n$/);
  for (let i = 0; i < 20; i++) assert.equal(await get(service), 'two board-00002');
  const old = async () => (await service.instances()).filter((one) => one.revision === 'board-00001');
  assert.equal((await old()).length, 1);
  assert.equal(ended, false);
  held.destroy();
  await until('the old instance has gone', async () => (await old()).length === 0, 8000);
  assert.deepEqual((await applied(service, yaml('two').replace('spec:\n', '# a comment\nspec:\n'))).status, 0);
  assert.deepEqual((await revisions(service)).map((one) => one.name), ['board-00001', 'board-00002']); // the same template
});

test('a revision that does not become ready gets no requests and says why', quickly, async (t) => {
  const service = await up(t, yaml('one'));
  const run = await applied(service, yaml(null));
  assert.equal(run.status, 1, run.output);
  assert.match(run.output, /revision \[board-00002\] has not become ready, and gets no requests: .*exit status 3.*no database/);
  for (let i = 0; i < 10; i++) assert.equal(await get(service), 'one board-00001');
  assert.deepEqual((await revisions(service)).map(({ state, percent }) => [state, percent]), [['ready', 100], ['failed', 0]]);
  assert.match((await command(service, 'revisions')).output, /board-00002 +failed +0% .*no database/);
});

test('a file with one wrong service is refused whole', quickly, async (t) => {
  const service = await up(t, yaml('one'));
  const wrong = [[yaml('two') + '---\n' + serviceYaml({ name: 'other', run: 'no-such-program-anywhere' }), /no-such-program-anywhere/],
    [yaml('two') + '---\nkind: Service\n', /changed\.yaml:\d+: needs apiVersion/], [yaml('two') + '---\n' + yaml('three'), /the service board is in/],
    [traffic(yaml('two'), ['{percent: 100, revisionName: board-00009}']), /has no revision board-00009/]];
  for (const [text, why] of wrong) {
    const run = await applied(service, text);
    assert.equal(run.status, 1, run.output);
    assert.match(run.output, why);
  }
  const second = yaml('two') + '---\nkind: Service\n';
  const line = second.slice(0, second.indexOf('kind: Service\n', second.indexOf('---'))).split('\n').length;
  assert.match((await applied(service, second)).output, new RegExp(`changed\\.yaml:${line}: `));
  assert.equal(await get(service), 'one board-00001');
  assert.deepEqual((await revisions(service)).map((one) => one.name), ['board-00001']);
  write(service, wrong[0][0]);
  process.kill(service.pid, 'SIGHUP');
  await until('it is refused', () => /refused as a whole.*no-such-program-anywhere/.test(service.output));
  assert.deepEqual((await service.status_()).services.map((one) => one.name), ['board']);
});

test('SIGHUP takes the changed file, and another service that is in it', quickly, async (t) => {
  const service = await up(t, yaml('one'));
  write(service, yaml('two') + '---\n' + serviceYaml({ name: 'other', run: server('else') }));
  process.kill(service.pid, 'SIGHUP');
  await until('both are there', async () => (await get(service, 'board.localhost')) === 'two board-00002' && (await get(service, 'other.localhost')) === 'else other-00001');
  assert.match(await get(service, 'localhost'), /<b>board<\/b>.*\n.*<b>other<\/b>/); // the page that lists them
  assert.equal(await get(service, 'elsewhere.example'), '404 no-service');
  // A client that stays gets the answer to its next request, too.
  const kept = net.connect(service.port, '127.0.0.1');
  t.after(() => kept.destroy());
  let heard = '';
  kept.on('data', (data) => (heard += data));
  for (const host of ['elsewhere.example', 'localhost', 'other.localhost']) kept.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await until('all three are answered', () => /404 .*no-service: .*200 .*<title>Services.*200 .*else other-00001/s.test(heard));
});

test('traffic by percentage and by tag, and rollback', quickly, async (t) => {
  const service = await up(t, yaml('one'));
  assert.equal((await applied(service, traffic(yaml('two'), ['{percent: 100, revisionName: board-00001}', '{tag: canary, latestRevision: true}']))).status, 0);
  assert.equal(await get(service), 'one board-00001');
  assert.equal(await get(service, 'canary---board.localhost:80'), 'two board-00002');
  assert.equal(await get(service, 'unknown---board.localhost:80'), '404 no-service');
  const run = await command(service, 'traffic', 'board', '--to-revisions=board-00001=50,LATEST=50');
  assert.equal(run.status, 0, run.output);
  assert.match(run.output, /board-00001=50% LATEST=50% canary:LATEST/);
  const got = await Promise.all(Array.from({ length: 200 }, () => get(service)));
  const ones = got.filter((text) => text === 'one board-00001').length;
  assert.equal(got.filter((text) => text === 'two board-00002').length, 200 - ones);
  assert.ok(ones > 50 && ones < 150, `${ones} of 200`); // seven standard deviations
  for (const [flag, why] of [['--to-revisions=board-00001=50', /add up to 50/], ['--to-revisions=board-9=100', /no revision board-9/], ['--set-tags=A=LATEST', /expected TAG=REVISION/]]) {
    const wrong = await command(service, 'traffic', 'board', flag);
    assert.equal(wrong.status, 1);
    assert.match(wrong.output, why);
  }
  assert.equal((await command(service, 'traffic', 'board', '--to-latest', '--set-tags=canary=,old=board-00001')).status, 0);
  assert.equal(await get(service), 'two board-00002');
  assert.equal(await get(service, 'canary---board.localhost'), '404 no-service');
  assert.equal(await get(service, 'old---board.localhost'), 'one board-00001');
  assert.equal((await command(service, 'rollback', 'board')).status, 0);
  assert.equal(await get(service), 'one board-00001');
  assert.equal((await command(service, 'rollback', 'board')).status, 1); // there is none before
  assert.match((await command(service, 'rollback', 'nobody')).output, /no service of that name/);
});

test('kill -9: services, revisions and traffic are there again', quickly, async (t) => {
  const first = await up(t, yaml('one'));
  await applied(first, yaml('two') + '---\n' + serviceYaml({ name: 'other', run: server('else') }));
  await command(first, 'traffic', 'board', '--to-revisions=board-00001=100', '--set-tags=new=LATEST');
  await applied(first, yaml(null));
  const before = (await first.status_()).services.map((one) => ({ ...one, url: 0, bill: 0, traffic: one.traffic.map(({ url, ...rest }) => rest), revisions: one.revisions.map(({ name, state, why, percent }) => ({ name, state, why, percent })) }));
  await first.stop('SIGKILL');
  const again = first.again = program(['up', path.join(first.directory, 'service.yaml'), '--port', first.port, '--status-port', first.statusPort, '--state', first.directory, '--log-format', 'json']);
  await until('it serves again', () => again.output.includes('"serving"'));
  const after = (await first.status_()).services.map((one) => ({ ...one, url: 0, bill: 0, traffic: one.traffic.map(({ url, ...rest }) => rest), revisions: one.revisions.map(({ name, state, why, percent }) => ({ name, state, why, percent })) }));
  assert.deepEqual(after, before);
  assert.equal(await get(first, 'board.localhost'), 'one board-00001');
  assert.equal(await get(first, 'new---board.localhost'), 'two board-00002');
  assert.equal(await get(first, 'other.localhost'), 'else other-00001');
  for (const name of ['socket', 'state.json', 'lock']) assert.equal((fs.lstatSync(path.join(first.directory, 'control', name)).mode & 0o777).toString(8), '600', name);
  assert.equal((fs.lstatSync(path.join(first.directory, 'control')).mode & 0o777).toString(8), '700');
});

test('a state that cannot be written is tried again; one that is damaged is put aside', quickly, async (t) => {
  const first = await up(t, yaml('one')), state = path.join(first.directory, 'control', 'state.json');
  await until('it is ready', async () => (await revisions(first))[0].state === 'ready');
  fs.rmSync(state);
  fs.mkdirSync(state); // nothing can be put in its place
  await applied(first, yaml('two'));
  await until('it is told', () => first.output.includes('the state cannot be kept, and is tried again each second'));
  fs.rmdirSync(state);
  await until('it is there again', () => fs.existsSync(state) && first.output.includes('the state is kept again'));
  assert.match(fs.readFileSync(state, 'utf8'), /board-00002/);
  assert.equal(first.output.split('the state cannot be kept').length, 2);
  await first.stop('SIGKILL');
  for (const damaged of ['', '{"file":', '[]']) {
    fs.writeFileSync(state, damaged);
    const again = first.again = program(['up', path.join(first.directory, 'service.yaml'), '--port', first.port, '--state', first.directory, '--log-format', 'json']);
    await until('it serves again', () => again.output.includes('"serving"'));
    assert.match(again.output, /the kept state is damaged: services begin anew/);
    assert.equal(fs.readFileSync(path.join(first.directory, 'control', 'state.damaged.json'), 'utf8'), damaged);
    assert.equal(await get(first), 'one board-00001');
    await again.stop();
  }
});

test('commands say what they do not find, and what does not change', quickly, async (t) => {
  const service = await up(t, yaml('one'));
  assert.equal(await get(service), 'one board-00001');
  for (const args of [['services', 'none'], ['revisions', 'none'], ['rollback', 'none'], ['traffic', 'none', '--to-latest'], ['logs', 'none']]) {
    const run = await command(service, ...args);
    assert.deepEqual([run.status, /there is no service/.test(run.output)], [1, true], `${args}: ${run.output}`);
  }
  const both = await command(service, 'traffic', 'board', '--to-latest', '--to-revisions=board-00001=100');
  assert.deepEqual([both.status, /not both/.test(both.output)], [2, true], both.output);
  await command(service, 'traffic', 'board', '--update-tags=old=board-00001,new=LATEST');
  assert.deepEqual((await service.status_()).services[0].traffic.map((one) => one.tag).filter(Boolean), ['old', 'new']);
  await command(service, 'traffic', 'board', '--remove-tags=old');
  assert.deepEqual((await service.status_()).services[0].traffic.map((one) => one.tag).filter(Boolean), ['new']);
  const same = await applied(service, yaml('one'));
  assert.deepEqual([same.status, same.output], [0, 'No new revision: the services have what the file says.\n']);
  const path_ = await applied(service, yaml('one').replace(/sennit.dev\/run: .*/, 'sennit.dev/run: /none/such'));
  assert.match(path_.output, /the program "\/none\/such" is not there$/m);
});

test('a folder of files', quickly, async (t) => {
  const service = await up(t, yaml('one'));
  fs.mkdirSync(path.join(service.directory, 'all'));
  write(service, yaml('one'), 'all/a.yaml');
  write(service, serviceYaml({ name: 'other', run: server('else') }), 'all/b.yml');
  write(service, 'not read', 'all/c.txt');
  const second = service.again = program(['up', path.join(service.directory, 'all'), '--port', '0', '--state', path.join(service.directory, 's'), '--log-format', 'json']);
  const port = await until('it serves', () => second.output.match(/"serving".*"port":(\d+)/)?.[1]);
  assert.equal(await get({ port }, 'other.localhost'), 'else other-00001');
  assert.equal(await get({ port }, 'board.localhost'), 'one board-00001');
});

test('a rolling deployment under 200 open sockets loses nothing', { timeout: 120000 }, async (t) => {
  const service = await up(t, board({ min: 1, timeout: 20 }), { ready: 1 });
  const clients = Array.from({ length: 200 }, (_, i) => new Client(service.url, { name: `c${i}` }));
  t.after(() => clients.forEach((one) => one.close()));
  await Promise.all(clients.map((one) => one.connected()));
  const drawers = clients.slice(0, 4), ids = [];
  let drawing = true;
  const loop = (async () => {
    while (drawing) {
      for (const one of drawers) ids.push(one.draw());
      await sleep(100);
    }
  })();
  const changed = fs.readFileSync(path.join(service.directory, 'service.yaml'), 'utf8').replace('containerConcurrency: 250', 'containerConcurrency: 240');
  const run = await applied(service, changed);
  assert.equal(run.status, 0, run.output);
  // Those that are cut come back to the new revision.
  for (const one of clients.slice(100)) one.cut();
  await until('all are back', () => clients.every((one) => one.socket.connected), 20000);
  drawing = false;
  await loop;
  await Promise.all(drawers.map((one) => one.settled()));
  const expected = (one) => ids.filter((id) => !id.startsWith(`${one.name}-`)); // a client's own strokes do not come back
  await until('all have all', () => clients.every((one) => differences(one, expected(one)) === ''), 20000).catch(() => {});
  assert.deepEqual(clients.map((one) => differences(one, expected(one))).filter(Boolean), []);
  const on = new Map((await service.instances()).map((one) => [one.revision, one.requests]));
  assert.equal(on.get('board-00001') > 0 && on.get('board-00002') > 0, true, JSON.stringify([...on]));
});

test('a deployment with more instances leaves descriptors for them', quickly, async (t) => {
  const service = await up(t, yaml('one', { annotations: { 'autoscaling.knative.dev/maxScale': 10 } }), { within: ['sh', '-c', 'ulimit -n 4096; exec "$@"', 'sh'] });
  const run = await applied(service, yaml('two', { annotations: { 'autoscaling.knative.dev/maxScale': 210 } }));
  assert.equal(run.status, 0, run.output);
  await until('it has told', () => /the bound of connections has changed.*"connections":(\d+),"before":(\d+)/.test(service.output));
  const [, now, before] = service.output.match(/the bound of connections has changed.*"connections":(\d+),"before":(\d+)/).map(Number);
  assert.equal(before, (4096 - 128 - 10 * 8) / 2);
  assert.ok(now <= (4096 - 128 - 210 * 8) / 2, `${now}`);
});
