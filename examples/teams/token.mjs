// Prints a token for a user of a team: node token.mjs NAME TEAM [ROLE]. What a login does, without the login. Keys are made once, here.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const here = process.env.KEYS ?? path.dirname(new URL(import.meta.url).pathname);
const [privateFile, publicFile] = [path.join(here, 'private.pem'), path.join(here, 'public.pem')];
if (!fs.existsSync(privateFile)) {
  const pair = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  fs.writeFileSync(privateFile, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  fs.writeFileSync(publicFile, pair.publicKey.export({ type: 'spki', format: 'pem' }));
}
const [name, team, role = 'user'] = process.argv.slice(2);
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const seconds = Math.floor(Date.now() / 1000);
const text = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({ iss: 'teams', sub: name, team, role, iat: seconds, exp: seconds + 3600 })}`;
console.log(`${text}.${crypto.sign('sha256', Buffer.from(text), fs.readFileSync(privateFile)).toString('base64url')}`);
