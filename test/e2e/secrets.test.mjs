// secrets: valueFrom.secretKeyRef from a folder of this machine.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { program, serviceYaml, temporary, until, up } from './lib.mjs';

const quickly = { timeout: 60000 };
const server = `${process.execPath} -e "require('node:http').createServer((request, response) => response.end(JSON.stringify(process.env))).listen(process.env.PORT)"`;
const secret = (variable, name, key = 'latest') => `            - {name: ${variable}, valueFrom: {secretKeyRef: {name: ${name}, key: "${key}"}}}\n`;
const yaml = (...secrets) => serviceYaml({ run: server, env: { PLAIN: 'p' } }) + secrets.join('');

test('values come from files, by version, and are in no output', quickly, async (t) => {
  const folder = temporary();
  fs.writeFileSync(path.join(folder, 'one'), 'single "quoted"\nsecond line');
  fs.mkdirSync(path.join(folder, 'many'));
  for (const [version, text] of [['1', 'first'], ['2', 'hushhush'], ['10', 'newest'], ['notes', 'no version']]) fs.writeFileSync(path.join(folder, 'many', version), text);
  const service = await up(yaml(secret('A', 'one'), secret('B', 'many'), secret('C', 'many', '2'), secret('D', 'one', '1')), { flags: ['--secrets', folder] });
  t.after(() => service.close());
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  await until('it serves', () => service.output.includes('"serving"'));
  const env = await (await fetch(service.url)).json();
  assert.deepEqual([env.A, env.B, env.C, env.D, env.PLAIN], ['single "quoted"\nsecond line', 'newest', 'hushhush', 'single "quoted"\nsecond line', 'p']);
  // each instance reads them when it starts, and ends with its start if one has gone
  fs.writeFileSync(path.join(folder, 'many', '10'), 'changed');
  const ended = async (text) => {
    const [{ pid }] = await service.instances();
    process.kill(pid, 'SIGKILL');
    await until('it has ended', async () => (await service.status_()).instances.every((one) => one.pid !== pid));
    await until(text, async () => (await (await fetch(service.url)).text()).includes(text));
  };
  await ended('"changed"');
  fs.renameSync(path.join(folder, 'one'), path.join(folder, 'two'));
  await ended('instance-start-failed');
  assert.ok(service.output.includes('the variable A: there is no version latest of the secret one: write it into '), service.output);
  fs.renameSync(path.join(folder, 'two'), path.join(folder, 'one'));
  fs.writeFileSync(path.join(folder, 'many', '10'), 'newest');
  await until('it starts again', async () => (await fetch(service.url)).status === 200);
  // a later version reaches a new revision; one that is not there is refused, and nothing changes
  fs.writeFileSync(path.join(folder, 'many', '11'), 'later');
  const file = path.join(service.directory, 'changed.yaml');
  const apply = async (text) => {
    fs.writeFileSync(file, text);
    const run = program(['apply', '--state', service.directory, file]);
    await run.ended;
    return run;
  };
  const missing = await apply(yaml(secret('B', 'many', '3')));
  assert.equal(missing.status, 1);
  assert.match(missing.output, /the variable B: there is no version 3 of the secret many: write it into /);
  assert.equal((await (await fetch(service.url)).json()).B, 'newest');
  assert.equal((await apply(yaml(secret('B', 'many')))).status, 0);
  assert.equal((await (await fetch(service.url)).json()).B, 'later');
  assert.ok(!/hushhush|quoted/.test(service.output + fs.readFileSync(path.join(service.directory, 'control/state.json'), 'utf8')));
});

test('the folder is in the settings of the user, and a missing secret ends the start', quickly, async (t) => {
  const config = temporary();
  t.after(() => fs.rmSync(config, { recursive: true, force: true }));
  const file = path.join(config, 'service.yaml');
  fs.writeFileSync(file, yaml(secret('A', 'one')));
  const run = program(['up', file, '--port', '0', '--state', path.join(config, 'state')], { env: { ...process.env, XDG_CONFIG_HOME: config } });
  await run.ended;
  assert.equal(run.status, 1);
  assert.ok(run.output.includes(`there is no version latest of the secret one: write it into ${config}/sennit/secrets/one`), run.output);
});
