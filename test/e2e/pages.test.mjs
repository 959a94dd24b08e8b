// pages: each promise of the chatroom's and the whiteboard's pages, broken on purpose in a copy of them: a test must fail.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { skip } from './chromium.mjs';
import { temporary, top } from './lib.mjs';

// The file, what it says, what it says instead, and the file and test that must object.
const FAULTS = [
  ['chatroom/conversation.js', "'new message', { id, ...data }", "'new message', { id: random(), ...data }", 'chatroom', 'cut every'],
  ['chatroom/conversation.js', '(socket.recovered && this.ready ? this.flush()', '(socket.recovered && this.ready ? null', 'chatroom', 'cut every'],
  ['chatroom/conversation.js', "this.flush();\n      this.socket.emit('history'", "this.socket.emit('history'", 'chatroom', 'cut off'],
  ['chatroom/conversation.js', 'before: this.oldest }', '}', 'chatroom', 'two people'],
  ['chatroom/chat.js', 'oldest, ids, more: true', 'ids, more: true', 'chatroom', 'busy room'],
  ['chatroom/transcript.js', 'if (this.stuck) this.toEndSoon();', 'if (true) this.toEndSoon();', 'chatroom', 'busy room'],
  ['chatroom/transcript.js', "const body = make('p', { class: 'text', dir: 'auto' }, one.text);", "const body = make('p', { class: 'text' });\n    body.innerHTML = one.text;", 'chatroom', 'text is text'],
  ['shared/link.js', "if (error.description === 429) return 'full';", '', 'chatroom', 'cut off'],
  ['shared/link.js', "addEventListener('pagehide'", "addEventListener('never'", 'chatroom', 'two people'],
  ['whiteboard/picture.js', 'if (had && before(decision, had) < 0) return;', 'if (had) return;', 'board', 'undo, redo'],
  ['whiteboard/picture.js', '=> this.hides(stroke) || paint', '=> paint', 'board', 'undo, redo'],
  ['whiteboard/picture.js', 'if (!this.isUp(name(data.p))) return true;', '', 'board', 'clear at once'],
  ['whiteboard/picture.js', "|| !this.isUp(name(data.p, ''))) return false", ') return false', 'board', 'clear at once'],
  ['whiteboard/picture.js', 'this.stock++', '0', 'board', 'stock page'],
  ['whiteboard/people.js', 'this.names.delete(id);\n      this.hide(id);', 'this.names.delete(id);', 'board', 'people'],
  ['whiteboard/hand.js', 'if (this.fingers.size > 1) return this.takeBack();', '', 'board', 'phone'],
];

test('each fault is one that the pages could have', () => {
  for (const [file, text] of FAULTS) assert.equal(fs.readFileSync(path.join(top, 'web', file), 'utf8').split(text).length, 2, `${file} says once: ${text}`);
});

const options = { timeout: FAULTS.length * 90000, skip: skip || (process.env.SENNIT_FAULTS === undefined && 'make mutate runs it') };
test('each promise of the pages, broken on purpose, fails a test', options, async () => {
  const survivors = [];
  for (const [file, text, fault, judge, name] of FAULTS) {
    const directory = temporary();
    const web = path.join(directory, 'web');
    fs.cpSync(path.join(top, 'web'), web, { recursive: true, verbatimSymlinks: true });
    const broken = path.join(web, file);
    fs.writeFileSync(broken, fs.readFileSync(broken, 'utf8').replace(text, () => fault));
    const { NODE_TEST_CONTEXT: _, ...env } = process.env; // else the child reports to this test
    const child = spawn('node', ['--test', `--test-name-pattern=${name}`, path.join(top, `test/e2e/${judge}.test.mjs`)], { env: { ...env, SENNIT_WEB: web }, stdio: 'ignore' });
    const [status] = await once(child, 'close');
    if (status === 0) survivors.push(`${file}: ${fault}`);
    fs.rmSync(directory, { recursive: true });
  }
  assert.deepEqual(survivors, []);
});
