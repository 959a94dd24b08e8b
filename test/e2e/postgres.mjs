// postgres: a Postgres server of the test's own, with the schema in it, on a free port and in a directory that is gone afterwards.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { freePort, program, sennit, temporary, until } from './lib.mjs';

// Where Debian has its programs, the newest version; undefined: nowhere.
const versions = fs.existsSync('/usr/lib/postgresql') ? fs.readdirSync('/usr/lib/postgresql').sort((a, b) => b - a) : [];
export const folder = versions.map((version) => `/usr/lib/postgresql/${version}/bin`).find((bin) => fs.existsSync(path.join(bin, 'initdb')));

// Why it cannot be tried here; undefined: it can.
export function missing() {
  if (!folder) return 'no Postgres server is installed';
  const said = spawnSync(sennit, ['serve', '--broker', 'postgres://127.0.0.1:0', '--config', '/dev/null'], { encoding: 'utf8' });
  return /built without Postgres/.test(said.stderr) ? 'sennit is built without libpq' : undefined;
}

// Postgres refuses to run as root.
const user = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};

// `within`: a command that runs it elsewhere, where it listens on `address`; the test itself reaches it by its socket.
export async function postgres({ role, settings: more = [], within = [], address = '127.0.0.1' } = {}) {
  const directory = temporary();
  const data = path.join(directory, 'data');
  const port = await freePort();
  if (user.uid) fs.chownSync(directory, user.uid, user.gid);
  const run = (command, args, input) => {
    const done = spawnSync(path.join(folder, command), args, { ...user, cwd: directory, input, encoding: 'utf8', env: { PATH: process.env.PATH, LC_ALL: 'C' } });
    if (done.status !== 0) throw new Error(`${command}: ${done.stdout}${done.stderr}`);
    return done.stdout.trim();
  };
  run('initdb', ['--no-sync', '--auth=trust', '--username=owner', '--encoding=UTF8', '--locale=C', '-D', data]);
  if (address !== '127.0.0.1') fs.appendFileSync(path.join(data, 'pg_hba.conf'), `host all all ${address}/24 trust\n`);
  const server = { port, child: null };
  const asOwner = ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-h', directory, '-p', String(port), '-U', 'owner', 'postgres'];
  server.url = `postgres://${role ?? 'owner'}@${address}:${port}/postgres`;
  server.sql = (text) => run('psql', asOwner, text);
  server.psql = (args) => [path.join(folder, 'psql'), [...asOwner, ...args], { ...user, cwd: directory, stdio: 'ignore' }]; // for spawn
  server.start = async () => {
    const settings = [`port=${port}`, `listen_addresses=${address}`, `unix_socket_directories=${directory}`, 'fsync=off', 'shared_buffers=16MB', ...more];
    const argv = [path.join(folder, 'postgres'), '-D', data, ...settings.flatMap((one) => ['-c', one])];
    const become = within.length && user.uid ? ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : [];
    const [command, ...rest] = [...within, ...become, ...argv];
    server.child = spawn(command, rest, { ...(within.length ? {} : user), cwd: directory, stdio: 'ignore' });
    server.ended = once(server.child, 'close');
    await until('Postgres answers', () => {
      try {
        return server.sql('SELECT 1') === '1';
      } catch (error) {
        if (server.child.exitCode !== null) throw error;
        return false;
      }
    });
  };
  // Nothing is cleaned up, as in a crash, but no process of it is left.
  server.crash = async () => {
    server.child.kill('SIGQUIT');
    await server.ended;
  };
  server.close = async () => {
    if (server.child.exitCode === null) await server.crash();
    fs.rmSync(directory, { recursive: true, force: true });
  };
  await server.start();
  const schema = program(['schema', 'postgres', ...(role ? ['--role', role] : [])]);
  await schema.stop(await schema.ended);
  server.sql(`${role ? `CREATE ROLE ${role} LOGIN;` : ''}${schema.output}`);
  return server;
}

// Debian has it where only root's PATH looks.
export const bouncer = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((file) => fs.existsSync(file));

// PgBouncer in front of that server, which gives each transaction any of its few connections. It refuses to run as root, too.
export async function pgbouncer(server, role, more = []) {
  const directory = temporary();
  const port = await freePort();
  const file = path.join(directory, 'pgbouncer.ini');
  fs.writeFileSync(path.join(directory, 'users'), `"${role}" ""\n`);
  fs.writeFileSync(file, ['[databases]', `postgres = host=127.0.0.1 port=${server.port}`, '[pgbouncer]', 'listen_addr = 127.0.0.1', `listen_port = ${port}`,
    'unix_socket_dir =', 'auth_type = trust', `auth_file = ${directory}/users`, 'pool_mode = transaction', 'default_pool_size = 4', ...more, ''].join('\n'));
  if (user.uid) for (const one of ['', 'users', 'pgbouncer.ini']) fs.chownSync(path.join(directory, one), user.uid, user.gid);
  const pool = { url: `postgres://${role}@127.0.0.1:${port}/postgres` };
  pool.start = async () => {
    let output = '';
    pool.child = spawn(bouncer, [file], { ...user, cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
    pool.ended = once(pool.child, 'close');
    for (const stream of [pool.child.stdout, pool.child.stderr]) stream.on('data', (data) => (output += data));
    await until('PgBouncer listens', () => {
      if (pool.child.exitCode !== null) throw new Error(`pgbouncer ended: ${output}`);
      return output.includes('process up');
    });
  };
  pool.kill = async () => {
    pool.child.kill('SIGKILL');
    await pool.ended;
  };
  pool.close = async () => {
    await pool.kill();
    fs.rmSync(directory, { recursive: true, force: true });
  };
  await pool.start();
  return pool;
}
