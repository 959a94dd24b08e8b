// deploy: `sennit deploy` builds small sources and deploys them, on a `sennit up` that it starts, or on the running one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { dockerArchive, image, ociArchive, server as server_, tree, writeLayout } from './image.mjs';
import { freePort, program, temporary, until } from './lib.mjs';

const quickly = { timeout: 60000 };
const server = "require('node:http').createServer((request, response) => response.end(JSON.stringify({ files: require('node:fs').readdirSync('.').sort(), env: process.env, text: 'TEXT' }))).listen(process.env.PORT)";

function source(t, files) {
  const directory = temporary();
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    fs.writeFileSync(path.join(directory, name), text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
  }
  return directory;
}
const node = (text = 'one') => ({ 'package.json': JSON.stringify({ scripts: { start: 'node server.js' } }), 'server.js': server.replace('TEXT', text) });

// The first deployment starts a `sennit up`, which the others find by the state folder.
async function place(t, state = temporary()) {
  const port = await freePort();
  const runs = []; // they write in the folder, so they end before it goes
  t.after(async () => {
    await Promise.all(runs.map((run) => run.stop()));
    fs.rmSync(state, { recursive: true, force: true });
  });
  const deploy = (directory, ...args) => {
    const run = program(['deploy', '--state', state, '--listen', port, ...(directory === null ? [] : ['--source', directory]), ...args]);
    runs.push(run);
    return run;
  };
  return { state, port, runs, deploy };
}
async function first(t, place_, directory, ...args) {
  const run = place_.deploy(directory, ...args);
  await until('it is deployed', () => run.status !== null || run.output.includes('Service URL'), 30000);
  return run;
}
async function next(place_, directory, ...args) {
  const run = place_.deploy(directory, ...args);
  await run.ended;
  return run;
}
const get = (port, host) => new Promise((resolve, reject) => http.get({ host: '127.0.0.1', port, agent: false, headers: { Host: host } }, (response) => {
  let text = '';
  response.on('data', (data) => (text += data)).on('end', () => resolve(response.statusCode === 200 ? JSON.parse(text) : response.statusCode));
}).on('error', reject));

test('one command builds, deploys, and ends in a URL; the next ones go to the same sennit up', quickly, async (t) => {
  const here = await place(t);
  const directory = source(t, { ...node(), '.gitignore': 'secret\n', '.gcloudignore': '#!include:.gitignore\n*.md\n!KEEP.md\nlogs/\n', secret: '1', 'README.md': '2', 'KEEP.md': '3', 'logs/x': '4', '.git/HEAD': '5' });
  const run = await first(t, here, directory, 'chat', '--allow-unauthenticated', '--region', 'europe-west1', '--set-env-vars', 'A=1,B=two "words"', '--timeout', '1m5s', '--concurrency', '7');
  assert.match(run.output, /Building and deploying container to Cloud Run service \[chat\]/);
  assert.match(run.output, /Done\.\nService \[chat\] revision \[chat-00001\] has been deployed and is serving 100 percent of traffic\.\nService URL: http:\/\/chat\.localhost:\d+\n/);
  const one = await get(here.port, 'chat.localhost');
  assert.deepEqual(one.files, ['KEEP.md', 'package.json', 'server.js']);
  assert.deepEqual([one.env.A, one.env.B, one.env.K_REVISION, one.env.SENNIT_REQUEST_TIMEOUT_SECONDS], ['1', 'two "words"', 'chat-00001', '65']);
  fs.writeFileSync(path.join(directory, 'server.js'), server.replace('TEXT', 'two'));
  assert.equal((await get(here.port, 'chat.localhost')).text, 'one', 'a build never changes');
  const second = await next(here, directory, 'chat', '--update-env-vars', '^@^B=x,y@C=3', '--remove-env-vars', 'A', '--no-traffic', '--tag', 'new');
  assert.equal(second.status, 0, second.output);
  assert.match(second.output, /revision \[chat-00002\] has been deployed and is serving 0 percent of traffic\.\nThe revision can be reached directly at http:\/\/new---chat\.localhost:\d+\n/);
  assert.equal((await get(here.port, 'chat.localhost')).text, 'one');
  const tagged = await get(here.port, 'new---chat.localhost');
  assert.deepEqual([tagged.text, tagged.env.A, tagged.env.B, tagged.env.C, tagged.env.SENNIT_REQUEST_TIMEOUT_SECONDS], ['two', undefined, 'x,y', '3', '65']);
  // as with gcloud, the next deployment moves nothing either
  assert.match((await next(here, directory, 'chat')).output, /\[chat-00003\] has been deployed and is serving 0 percent/);
  const traffic = program(['traffic', '--state', here.state, 'chat', '--to-latest']);
  await traffic.ended;
  assert.equal((await get(here.port, 'chat.localhost')).env.K_REVISION, 'chat-00003');
  assert.match((await next(here, source(t, node('else')), 'other')).output, /revision \[other-00001\] has been deployed and is serving 100 percent/);
  await run.stop('SIGINT');
  const again = program(['up', path.join(here.state, 'deployed'), '--allow-empty', '--state', here.state, '--port', here.port]);
  here.runs.push(again);
  await until('all is there again', async () => (await get(here.port, 'chat.localhost').catch(() => ({ env: {} }))).env?.K_REVISION === 'chat-00003');
  assert.equal((await get(here.port, 'other.localhost')).text, 'else');
});

test('probes, scaling, and variables of a file, as gcloud has them; they stay', quickly, async (t) => {
  const here = await place(t), directory = source(t, { ...node(), 'vars.yaml': 'A: "1"\nB: two words\nC: 3\n' });
  const file = () => fs.readFileSync(path.join(here.state, 'deployed/chat.yaml'), 'utf8');
  await first(t, here, directory, 'chat', '--startup-probe', 'httpGet.path=/a b,periodSeconds=2,httpGet.port=8080'.replace(' ', '%20'), '--liveness-probe=httpGet.path=/', '--readiness-probe', 'tcpSocket.port=8080',
    '--scaling', '2', '--env-vars-file', path.join(directory, 'vars.yaml'), '--ingress', 'internal', '--execution-environment=gen2', '--no-deploy-health-check', '-q', '--no-use-http2');
  const { env } = await get(here.port, 'chat.localhost');
  assert.deepEqual([env.A, env.B, env.C], ['1', 'two words', '3']);
  const lines = ['startupProbe: {httpGet: {path: "/a%20b", port: 8080}, periodSeconds: 2}', 'livenessProbe: {httpGet: {path: "/"}}', 'readinessProbe: {tcpSocket: {port: 8080}}',
    'run.googleapis.com/scalingMode: "manual"', 'run.googleapis.com/manualInstanceCount: "2"', 'run.googleapis.com/ingress: "internal"', 'run.googleapis.com/execution-environment: "gen2"', 'run.googleapis.com/health-check-disabled: "true"'];
  for (const line of lines) assert.ok(file().includes(line), `${line}\n${file()}`);
  assert.equal((await next(here, directory, 'chat')).status, 0);
  for (const line of lines) assert.ok(file().includes(line), `${line}\n${file()}`); // what no flag names stays
  assert.equal((await next(here, directory, 'chat', '--startup-probe=', '--liveness-probe', '', '--scaling=auto', '--deploy-health-check')).status, 0);
  for (const word of ['startupProbe', 'livenessProbe', 'scalingMode', 'manualInstanceCount', 'health-check-disabled']) assert.ok(!file().includes(word), file());
  assert.ok(file().includes(lines[2]));
  for (const [args, status, why] of [
    [['--startup-probe', 'httpGet'], 1, /expected KEY=VALUE,KEY=VALUE/], [['--startup-probe', 'a b: {=1'], 1, /expected KEY=VALUE/], [['--startup-probe', 'foo=1'], 1, /unknown field "foo"/],
    [['--liveness-probe', 'tcpSocket.port=8080'], 1, /a liveness probe asks with httpGet/], [['--scaling', 'much'], 1, /manualInstanceCount: expected a whole number/], [['--ingress', 'x'], 1, /expected one of all\|internal/],
    [['--env-vars-file', '/nowhere'], 1, /\/nowhere: No such file/], [['--container', 'a'], 2, /no sidecars/], [['--add-volume', 'a'], 2, /--set-secrets/]]) {
    const refused = await next(here, directory, 'chat', ...args);
    assert.deepEqual([refused.status, why.test(refused.output)], [status, true], `${args}: ${refused.output}`);
  }
});

test('a state folder that lies in the source is not copied into itself', quickly, async (t) => {
  const directory = source(t, node()), here = await place(t, path.join(directory, 'state'));
  await first(t, here, directory, 'chat');
  assert.ok(!(await get(here.port, 'chat.localhost')).files.includes('state'));
});

test('Ctrl-C before the revision is ready ends all, and says so', quickly, async (t) => {
  const here = await place(t), run = here.deploy(source(t, { Procfile: 'web: exec sleep 1000\n' }), 'never');
  await until('the instance starts', () => run.output.includes('instance starts'), 30000);
  await run.stop('SIGINT');
  assert.equal(run.status, 1);
  assert.match(run.output, /\nsennit deploy: sennit up has ended before the revision was ready\n$/);
});

test('what fails to build or to start changes nothing, and says why', quickly, async (t) => {
  const here = await place(t);
  const run = await first(t, here, source(t, node()), 'chat');
  const broken = await next(here, source(t, { Makefile: 'all:\n\t@echo the reason; exit 3\n' }), 'chat');
  assert.equal(broken.status, 1);
  assert.match(broken.output, /the reason[^]*sennit deploy: the build failed: make ended with exit status 2; nothing was deployed/);
  const dying = await next(here, source(t, { Procfile: 'web: echo no database && exit 3\n' }), 'chat');
  assert.equal(dying.status, 1);
  assert.match(dying.output, /the revision chat-00002 is not ready and cannot serve traffic: /);
  assert.match(dying.output, /exit status 3.*no database/);
  for (const [directory, args, why] of [
    [source(t, { 'notes.txt': '1' }), [], /is no source that is known here: expected a Dockerfile, Procfile/],
    ['/nowhere', [], /--source: \/nowhere is no folder/],
    [source(t, node()), ['--concurrency', '1001'], /containerConcurrency.*1000/],
    [source(t, node()), ['--timeout', '2h'], /timeoutSeconds.*3600/],
    [source(t, node()), ['--set-env-vars', 'PORT=1'], /PORT is set by the platform/],
    [source(t, node()), ['--set-env-vars', 'A'], /expected NAME=VALUE/],
    [source(t, node()), ['--set-secrets', '/mounted=a:latest'], /expected VARIABLE=SECRET:VERSION or \/FOLDER\/FILE=SECRET:VERSION/],
    [source(t, node()), ['--set-secrets', 'A=nobody-has-it:latest'], /there is no version latest of the secret nobody-has-it/],
    [source(t, node()), ['--tag', 'Not_A_Tag'], /--tag/]]) {
    const refused = await next(here, directory, 'chat', ...args);
    assert.equal(refused.status, 1, refused.output);
    assert.match(refused.output, why);
  }
  assert.match((await next(here, source(t, node()), 'fresh', '--no-traffic')).output, /a new service has no other revision/);
  assert.equal((await get(here.port, 'chat.localhost')).text, 'one');
  // of what failed nothing is left but the revision that says why
  assert.deepEqual(fs.readdirSync(path.join(here.state, 'sources/chat')).sort(), ['chat-00001', 'chat-00002']);
  assert.match(run.output, /the deployment failed: all requests stay where they are/);
});

test('variables from secrets stay until others are set', quickly, async (t) => {
  const here = await place(t), config = source(t, { 'sennit/secrets/key': 'hush' });
  const before = process.env.XDG_CONFIG_HOME;
  process.env.XDG_CONFIG_HOME = config;
  t.after(() => (before === undefined ? delete process.env.XDG_CONFIG_HOME : (process.env.XDG_CONFIG_HOME = before)));
  await first(t, here, source(t, node()), 'chat', '--set-secrets', 'A=key:latest,B=key:1', '--set-env-vars', 'C=3');
  const one = await get(here.port, 'chat.localhost');
  assert.deepEqual([one.env.A, one.env.B, one.env.C], ['hush', 'hush', '3']);
  assert.equal((await next(here, source(t, node()), 'chat', '--update-env-vars', 'A=plain', '--no-allow-unauthenticated', '--set-custom-audiences', 'https://a.example,b', '--service-account', 'me@example.com')).status, 0);
  assert.equal(await get(here.port, 'chat.localhost'), 403);
  const written = fs.readFileSync(path.join(here.state, 'deployed/chat.yaml'), 'utf8');
  for (const line of ['sennit.dev/allow-unauthenticated: "false"', String.raw`run.googleapis.com/custom-audiences: "[\"https://a.example\",\"b\"]"`, 'serviceAccountName: "me@example.com"']) assert.ok(written.includes(line), written);
  assert.equal((await next(here, source(t, node()), 'chat', '--allow-unauthenticated')).status, 0);
  const two = await get(here.port, 'chat.localhost');
  assert.deepEqual([two.env.K_REVISION, two.env.A, two.env.B, two.env.C], ['chat-00003', 'plain', 'hush', '3']);
});

test('secrets are mounted, one by one', { ...quickly, skip: spawnSync('unshare', process.getuid() === 0 ? ['-m', 'true'] : ['-U', '-m', 'true']).status === 0 ? false : 'this user may make no mount namespace here' }, async (t) => {
  const here = await place(t), config = source(t, { 'sennit/secrets/key': 'hush', 'sennit/secrets/other': 'else' });
  const before = process.env.XDG_CONFIG_HOME;
  process.env.XDG_CONFIG_HOME = config;
  t.after(() => (before === undefined ? delete process.env.XDG_CONFIG_HOME : (process.env.XDG_CONFIG_HOME = before)));
  const files = 'const fs = require("node:fs"); const read = (name) => { try { return fs.readFileSync(name, "utf8") } catch (error) { return error.code } };';
  const code = { ...node(), 'server.js': `${files} require('node:http').createServer((request, response) => response.end(JSON.stringify({ text: '', env: { seen: [read('/sennit-a/key'), read('/sennit-a/old'), read('/sennit-b/x'), process.env.A], K_REVISION: process.env.K_REVISION } }))).listen(process.env.PORT)` };
  const seen = async () => (await get(here.port, 'chat.localhost')).env.seen;
  await first(t, here, source(t, code), 'chat', '--set-secrets', '/sennit-a/key=key:latest,A=key:1', '--update-secrets', '/sennit-b/x=other:latest,/sennit-a/old=key:1');
  assert.deepEqual(await seen(), ['hush', 'hush', 'else', 'hush']);
  const removed = await next(here, source(t, code), 'chat', '--remove-secrets', '/sennit-a/old,A');
  assert.equal(removed.status, 0, removed.output);
  assert.deepEqual(await seen(), ['hush', 'ENOENT', 'else', undefined].map((one) => one ?? null));
  assert.equal((await next(here, source(t, code), 'chat', '--update-secrets', '/sennit-a/else=other:latest')).status, 1);
  assert.equal((await next(here, source(t, code), 'chat', '--clear-secrets')).status, 0);
  assert.deepEqual(await seen(), ['ENOENT', 'ENOENT', 'ENOENT', null]);
});

const folder = temporary();
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
const binary = server_(folder);
const mayMount = spawnSync('unshare', process.getuid() === 0 ? ['-m', 'true'] : ['-U', '-m', 'true']).status === 0;
const images = { ...quickly, skip: binary === null ? 'no C compiler with static libraries' : !mayMount && 'this user may make no mount namespace here' };
const ask = (port, host, what) => new Promise((resolve, reject) => http.get({ host: '127.0.0.1', port, headers: { Host: host }, path: `/${what}`, agent: false }, (response) => {
  let text = '';
  response.on('data', (data) => (text += data)).on('end', () => resolve(JSON.parse(text)));
}).on('error', reject));

test('a Dockerfile is built by podman or docker, whose image runs without them; --image', images, async (t) => {
  const here = await place(t);
  const directory = source(t, { Dockerfile: 'FROM scratch\n', ...node() });
  const what = (word) => image({ layers: [tree(binary)], config: { Entrypoint: ['/bin/server', word], Env: ['B=image'] } });
  // Stand for them: say what they were asked for, and save an image of ours.
  const tool = '#!/bin/sh\necho "$(basename "$0") $*" >>"$(dirname "$0")/asked"\n[ "$1" = build ] && exit 0\n[ "$1" = save ] || exit 9\nfor last; do :; done\n[ "$last" != lost ] || { echo "no such image"; exit 3; }\ncat "$(dirname "$0")/archive" >image.tar\n';
  const podman = source(t, { podman: tool }), docker = source(t, { docker: tool }), before = process.env.PATH;
  fs.writeFileSync(path.join(podman, 'archive'), ociArchive(what('podman')));
  fs.writeFileSync(path.join(docker, 'archive'), dockerArchive(what('docker')));
  t.after(() => (process.env.PATH = before));
  process.env.PATH = `${podman}:${before}`;
  const run = await first(t, here, directory, 'chat', '--set-env-vars', 'A=1');
  assert.match(run.output, /Service URL/, run.output);
  assert.deepEqual(await ask(here.port, 'chat.localhost', 'args'), ['/bin/server', 'podman']);
  const env = await ask(here.port, 'chat.localhost', 'env');
  assert.ok(env.includes('A=1') && env.includes('B=image'));
  assert.equal(fs.readFileSync(path.join(podman, 'asked'), 'utf8'), 'podman build -t localhost/sennit/chat-00001 .\npodman save --quiet --format oci-archive -o image.tar localhost/sennit/chat-00001\n');
  // --image: what a tool has, and what is on the disk
  const deploy = (...args) => next(here, null, 'chat', ...args);
  assert.equal((await deploy('--image', 'localhost/mine', '--args', 'x')).status, 0);
  assert.deepEqual(await ask(here.port, 'chat.localhost', 'args'), ['/bin/server', 'podman', 'x']);
  assert.match((await deploy('--image', 'lost')).output, /no such image[^]*the build failed: podman ended with exit status 3/);
  fs.rmSync(path.join(podman, 'podman'));
  if (!before.split(':').some((one) => fs.existsSync(path.join(one, 'podman')))) {
    process.env.PATH = `${docker}:${before}`;
    assert.equal((await deploy('--image', 'localhost/mine')).status, 0);
    assert.deepEqual(await ask(here.port, 'chat.localhost', 'args'), ['/bin/server', 'docker']);
    process.env.PATH = before;
    assert.match((await deploy('--image', 'gcr.io/a/b')).output, /--image: gcr.io\/a\/b would come from a registry, and nothing is fetched from there: install podman/);
  }
  const layout = source(t, {});
  writeLayout(layout, what('layout'));
  assert.equal((await deploy('--image', `oci:${path.relative('.', layout)}:latest`)).status, 0);
  assert.deepEqual(await ask(here.port, 'chat.localhost', 'args'), ['/bin/server', 'layout']);
  assert.match((await deploy('--image', 'oci:none')).output, /--image: there is no folder none/);
  assert.match((await deploy('--image', 'oci:none', '--source', '.')).output, /--source and --image: .*give one/);
  assert.deepEqual(await ask(here.port, 'chat.localhost', 'args'), ['/bin/server', 'layout']);
});

test('Procfile, Makefile and Python', quickly, async (t) => {
  const here = await place(t);
  const script = `#!${process.execPath}\n${server}\n`;
  await first(t, here, source(t, { Procfile: `release: false\nweb: ${process.execPath} server.js\n`, 'server.js': server.replace('TEXT', 'proc') }), 'proc');
  assert.match((await next(here, source(t, { Makefile: 'made:\n\tcp program.js made\n\tchmod +x made\n', 'program.js': script.replace('TEXT', 'made') }), 'made')).output, /revision \[made-00001\]/);
  assert.match((await next(here, source(t, { 'main.py': "import http.server, os\nclass H(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        self.send_response(200); self.end_headers(); self.wfile.write(b'{\"text\": \"python\"}')\nhttp.server.HTTPServer(('', int(os.environ['PORT'])), H).serve_forever()\n" }), 'snake')).output, /revision \[snake-00001\]/);
  for (const [name, text] of [['proc', 'proc'], ['made', 'made'], ['snake', 'python']]) assert.equal((await get(here.port, `${name}.localhost`)).text, text);
});
