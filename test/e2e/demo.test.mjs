// demo: the shortest of the demonstrations runs, and says what it has seen.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { sennit, top } from './lib.mjs';

const demo = (name) => spawnSync(process.execPath, [path.join(top, 'tools/demo.mjs'), name], { encoding: 'utf8', env: { ...process.env, SENNIT: sennit }, timeout: 50000 });

test('a cut at the timeout is seen', { timeout: 60000 }, () => {
  const run = demo('timeout');
  assert.equal(run.status, 0, run.stdout + run.stderr);
  assert.match(run.stdout, /seen: the WebSocket was cut after \d+ ms\n[^]*seen: both have a line in the log/);
});

test('an unknown one is told those that there are', () => {
  const run = demo('nonsense');
  assert.equal(run.status, 2);
  assert.match(run.stderr, /timeout, scale, deploy, bill/);
});
