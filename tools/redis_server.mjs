// redis_server: the server and the command line client that tests and benches on Node use: Redis' own, or Valkey's where only that is
// installed. SENNIT_REDIS_SERVER names another server, by its path or its name in PATH. (test/unit/redis_server.h: the same for C.)
import fs from 'node:fs';
import path from 'node:path';

const inPath = (name) => (process.env.PATH ?? '').split(':').some((folder) => {
  try {
    fs.accessSync(path.join(folder, name), fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

// The first of these names that can be run, else the first.
const found = (...names) => names.find(inPath) ?? names[0];

export const redisServer = process.env.SENNIT_REDIS_SERVER || found('redis-server', 'valkey-server');
export const redisClient = found('redis-cli', 'valkey-cli');
