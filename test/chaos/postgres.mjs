// postgres: the Postgres of a run of chaos, by itself or behind PgBouncer, and what may happen to it. It does not sync: processes die here, and no machine.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { pgbouncer, postgres } from '../e2e/postgres.mjs';

const SESSIONS = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = 'instances'";

export class Postgres {
  constructor(cable) {
    this.cable = cable;
    this.output = '';
  }

  async start() {
    const within = this.cable ? ['ip', 'netns', 'exec', this.cable.name] : [];
    this.server = await postgres({ role: 'instances', within, address: this.cable?.address, settings: ['deadlock_timeout=500ms', 'max_connections=200'] });
    this.ask('ALTER ROLE owner SET statement_timeout = 0; ALTER ROLE owner SET default_transaction_read_only = off');
    this.url = this.server.url;
    this.env = { SENNIT_BROKER: this.url };
    this.title = `Postgres ${this.ask('SHOW server_version').split(' ')[0]}`;
  }

  // By its socket, which no cable leads to. '' when it is away.
  ask(sql) {
    try {
      return this.server.sql(sql);
    } catch {
      return '';
    }
  }

  // The server and its sessions.
  signal(name) {
    const parent = (pid) => {
      try {
        return Number(fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')[1]);
      } catch {
        return 0;
      }
    };
    const { pid } = this.server.child;
    for (const one of [pid, ...fs.readdirSync('/proc').filter((one) => /^\d+$/.test(one) && parent(one) === pid).map(Number)]) {
      try {
        process.kill(one, name);
      } catch {
        // it has ended meanwhile
      }
    }
  }

  async restart(signal, away) {
    this.server.child.kill(signal);
    await this.server.ended;
    await away();
    await this.server.start();
  }

  async close() {
    this.signal('SIGCONT');
    await this.server?.close();
  }

  // Held by a transaction that does nothing else.
  async lock(during) {
    const holder = spawn(...this.server.psql(['-c', 'BEGIN', '-c', 'SELECT 1 FROM sennit.state FOR UPDATE', '-c', 'SELECT pg_sleep(60)']));
    const ended = once(holder, 'close');
    const what = await during(() => {}, () => this.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'"), 200, 5000);
    holder.kill('SIGKILL');
    await ended;
    return what;
  }

  faults({ during, away, pick }) {
    const setting = (text) => during(() => this.ask(`ALTER SYSTEM SET ${text}; SELECT pg_reload_conf()`), () => this.ask(`ALTER SYSTEM RESET ${text.split(' ')[0]}; SELECT pg_reload_conf()`), 200, 3000);
    return {
      'postgres-crash': ['Postgres ended at once (`SIGQUIT`) and started again', () => this.restart('SIGQUIT', away)],
      'postgres-term': ['Postgres shut down (`SIGINT`) and started again', () => this.restart('SIGINT', away)],
      'postgres-stop': ['Postgres stopped for up to 4 s (`SIGSTOP`)', () => during(() => this.signal('SIGSTOP'), () => this.signal('SIGCONT'), 100, 4000)],
      'session-kill': ['a session killed (`SIGKILL`), whereupon Postgres ends all of them and recovers', async () => {
        const pids = this.ask(`SELECT pid ${SESSIONS}`).split('\n').filter(Boolean);
        if (pids.length === 0) return null;
        const pid = Number(pick(pids));
        process.kill(pid, 'SIGKILL');
        return `pid ${pid}`;
      }],
      'terminate-all': ['all connections closed (`pg_terminate_backend`)', () => this.ask(`SELECT count(pg_terminate_backend(pid)) ${SESSIONS}`) !== ''],
      'terminate-some': ['some connections closed', () => this.ask(`SELECT count(pg_terminate_backend(pid)) ${SESSIONS} AND pid % 3 = 0`) !== ''],
      'cancel-all': ['all statements cancelled (`pg_cancel_backend`)', () => this.ask(`SELECT count(pg_cancel_backend(pid)) ${SESSIONS}`) !== ''],
      'counter-locked': ['the counter locked for up to 5 s by an idle transaction', () => this.lock(during)],
      'read-only': ['writes refused for up to 3 s (`default_transaction_read_only`)', () => setting('default_transaction_read_only = on')],
      'statement-timeout': ['statements cancelled after 1 ms for up to 3 s (`statement_timeout`)', () => setting('statement_timeout = 1')],
    };
  }
}

// By transaction, so that an instance's calls run on any of a few connections, which it shares with all the others. No cable leads there.
export class Pooled extends Postgres {
  static loopback = true;

  async start() {
    await super.start();
    this.pool = await pgbouncer(this.server, 'instances', ['server_login_retry = 1']);
    this.url = this.pool.url;
    this.env = { SENNIT_BROKER: this.url };
    this.title += ' behind PgBouncer';
  }

  async close() {
    await this.pool?.close();
    await super.close();
  }

  faults(how) {
    return { ...super.faults(how), 'pooler-kill': ['PgBouncer killed (`SIGKILL`) and started again', async () => {
      await this.pool.kill();
      await how.away();
      await this.pool.start();
    }] };
  }
}
