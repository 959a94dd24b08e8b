// Attacks on `sennit serve` and `sennit up`: strangers, neighbours and a broken Redis, each beside a calm pair of clients whose
// acknowledgements are measured. Ends in a table, and in exit status 1 when a case fails. See docs/security.md.
//
// Every case is an object in cases/: its world, its actions, and its conditions of failure. Those with `live` draw their
// bytes from the seed and share the time that is given; the others do the same each time.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Control, mb, sanitized, World } from './world.mjs';

const usage = `usage: node test/attack/run.mjs [OPTION...]

  --seconds N    time that the live fuzzers share (default 60)
  --seed N       what they draw (default 1)
  --only WORDS   only cases whose name has one of these words in it, separated by commas
  --quick        less of everything
  --list         names the cases and what each expects
  --json FILE    every figure, too
  --write FILE   puts the table between the lines <!-- attack --> and <!-- /attack --> of this file

SENNIT names the program (default build/sennit). With one whose name has "asan" in it, memory is shown and not judged.`;

export { Control };

const here = path.dirname(fileURLToPath(import.meta.url));
const parts = ['reach', 'asking', 'holding', 'connections', 'redis', 'lies', 'shown', 'live'];
const going = new Set(); // worlds
const quickMs = 30000, caseMs = 60000, TOGETHER = 4;

export async function cases() {
  const all = [];
  for (const part of parts) all.push(...(await import(path.join(here, 'cases', `${part}.mjs`))).default);
  return all;
}

const within = (promise, ms) => {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`not done after ${ms / 1000} s`)), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

// One case from its beginning to its end; never throws.
export async function attempt(one, options) {
  const world = new World(one, options);
  going.add(world);
  let row = { name: one.name, requests: 0 };
  try {
    await within(world.begin(), 20000);
    await within(one.run(world), (options.quick ? quickMs : caseMs) + world.seconds * 1000);
  } catch (error) {
    world.fault(error.stack?.includes('AssertionError') ? error.message : String(error.stack ?? error).split('\n').slice(0, 2).join(' ').slice(0, 300));
  }
  try {
    row = await within(world.end(), 20000);
  } catch (error) {
    world.fault(`measuring: ${error.message}`);
  }
  await within(world.finish(), 20000).catch((error) => world.fault(`ending: ${error.message}`));
  going.delete(world);
  return { ...row, kind: one.kind, faults: world.faults, notes: world.notes };
}

// Where nobody's time is measured, several cases go on at once.
export async function all(chosen, run) {
  const rows = [];
  for (let at = 0; at < chosen.length;) {
    let until = at + 1;
    while (chosen[at].calm === false && chosen[until]?.calm === false && until - at < TOGETHER) until++;
    rows.push(...(await Promise.all(chosen.slice(at, until).map(run))));
    at = until;
  }
  return rows;
}

const ms = (figures) => (figures ? `${figures.p99.toFixed(0)}` : '');

function line(row) {
  const memory = row.peak ? `${mb(row.before)}, ${mb(row.peak)}` : '', acks = row.beside && row.control ? `${ms(row.baseline)}, ${ms(row.beside)}, ${ms(row.control)}` : '';
  const verdict = row.faults.length === 0 ? 'held' : `**failed**: ${row.faults[0].replace(/[|\n]/g, ' ').slice(0, 120)}`;
  return `| ${row.name} | ${row.requests.toLocaleString('en')} | ${memory} | ${acks} | ${row.redis ? mb(row.redis) : ''} | ${verdict} |`;
}

function table(rows) {
  const lines = ['| case | requests | memory before, peak (MB) | acks p99 of others: before, beside, elsewhere (ms) | Redis (MB) | verdict |', '|---|---:|---:|---:|---:|---|'];
  const lies = rows.filter((row) => row.kind === 'lies' && row.faults.length === 0);
  if (lies.length > 0) lines.push(`| lies: ${lies.length} wrong answers of Redis | ${lies.reduce((sum, row) => sum + row.requests, 0)} | | | | held |`);
  for (const row of rows.filter((one) => !lies.includes(one)))
    lines.push(line(row));
  return lines.join('\n');
}

function options() {
  const got = { seconds: 60, seed: 1, only: '', quick: false, list: false, json: '', write: '' };
  for (let args = process.argv.slice(2); args.length > 0;) {
    const name = args.shift().replace(/^--/, '');
    if (name === 'help') console.log(usage), process.exit(0);
    if (!(name in got)) console.error(`attack: unknown option --${name}\n\n${usage}`), process.exit(2);
    if (typeof got[name] === 'boolean') got[name] = true;
    else if (args.length === 0) console.error(`attack: --${name} needs a value`), process.exit(2);
    else got[name] = typeof got[name] === 'number' ? Number(args.shift()) : args.shift();
  }
  return got;
}

async function main() {
  const wanted = options(), words = wanted.only.split(',').filter(Boolean);
  const chosen = (await cases()).filter((one) => words.length === 0 || words.some((word) => one.name.includes(word)));
  if (wanted.list) return chosen.forEach((one) => console.log(`${one.name.padEnd(34)} ${one.expects}`));
  if (chosen.length === 0) console.error(`attack: no case's name has one of "${wanted.only}" in it`), process.exit(2);
  const live = chosen.filter((one) => one.live).length;
  const control = chosen.some((one) => one.calm !== false) ? await Control.open() : undefined;
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => { // stopped from outside, it leaves nobody behind
      await Promise.all([...[...going].map((world) => world.finish()), control?.close()]);
      process.exit(3);
    });
  }
  const rows = await all(chosen, async (one) => {
    const since = Date.now();
    const row = await attempt(one, { quick: wanted.quick, seed: wanted.seed, control, seconds: one.live ? Math.max(1, wanted.seconds / live) : 0 });
    console.error(`${((Date.now() - since) / 1000).toFixed(1).padStart(6)} s  ${row.faults.length ? 'FAILED' : 'held  '}  ${one.name}`
      + `${row.notes.length ? `: ${row.notes.join('; ')}` : ''}${row.faults.map((fault) => `\n            ${fault}`).join('')}`);
    return row;
  });
  await control?.close();
  const failed = rows.filter((row) => row.faults.length > 0).length;
  console.log(`\n${table(rows)}\n\n${rows.length} cases, ${failed} failed${sanitized ? ' (sanitizers: memory is not judged)' : ''}`);
  if (wanted.json) fs.writeFileSync(wanted.json, JSON.stringify(rows, null, 1));
  if (wanted.write) {
    const page = fs.readFileSync(wanted.write, 'utf8');
    fs.writeFileSync(wanted.write, page.replace(/(<!-- attack -->\n)[^]*(<!-- \/attack -->)/, (_, begin, end) => `${begin}${table(rows)}\n${end}`));
  }
  process.exitCode = failed ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
