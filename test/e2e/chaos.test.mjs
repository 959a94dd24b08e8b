// chaos: `make chaos`, short and on the loopback: the weather itself works, and nothing is lost in a little of it.
// alone: it stops processes and waits for them
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { top } from './lib.mjs';
import { bouncer, missing } from './postgres.mjs';

const skip = missing() ?? false;
for (const [broker, why] of [['redis', false], ['postgres', skip], ['pgbouncer', skip || (!bouncer && 'PgBouncer is not installed')]])
  test(`eight seconds of bad weather on ${broker}: nothing lost, doubled or reordered`, { skip: why, timeout: 120000 }, async () => {
    const args = ['test/chaos/run.mjs', '--broker', broker, '--seconds', '8', '--clients', '60', '--instances', '3', '--rooms', '5', '--timeout', '2', '--loopback'];
    const child = spawn(process.execPath, args, { cwd: top, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    const [status] = await once(child, 'close');
    assert.equal(status, 0, output);
    assert.match(output, /\| \*\*lost\*\* \| 0 \|/);
    assert.match(output, /\ngood/);
  });
