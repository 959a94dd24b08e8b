// conversation: what happens in one room: its messages, each once and in the order that all share, and who is there.
//
// A message that is written here waits in the outbox until the server says that it has been accepted, and is sent again on every
// connection until then, under the same id; so it counts once, however often the connection is cut. It takes its place in the
// conversation when it comes back: that order is the server's, and the same for everybody.

import { clean, random } from './person.js';

export const TEXT_CHARS_MAX = 4000;
const PAGE = 50;
const RETRY_MS = 2000;
const TYPING_EVERY_MS = 2000;
const TYPING_FOR_MS = 5000;
const OUTBOX = 'sennit.outbox';

// On the wire a room is `#lobby`: no socket's id looks like that.
const wire = (room) => `#${room}`;

// What others send is theirs to say, within bounds; null if it is no message.
function message(data, at, time) {
  if (data === null || typeof data !== 'object' || typeof data.message !== 'string' || typeof data.id !== 'string') return null;
  return { id: data.id.slice(0, 64), username: clean(data.username) || 'somebody', text: data.message.slice(0, TEXT_CHARS_MAX), at, time };
}

// A page that is loaded anew still has what it could not send.
function outboxRead() {
  try {
    return new Map(JSON.parse(sessionStorage.getItem(OUTBOX) ?? '[]'));
  } catch {
    return new Map();
  }
}

export class Conversation {
  // `show` is told what is to be seen: entered(room), message(one), earlier(list, {more, gap}), pending(one), sent(id),
  // failed(id, why), restarted(), people(list, count, more), everywhere(count), entered and left people, typing(names), trouble(text).
  constructor(socket, show) {
    Object.assign(this, { socket, show, name: '', room: null, ready: false, visit: 0 });
    this.outbox = outboxRead(); // id: {room, data}
    this.people = new Map();    // socket id: name
    this.typers = new Map();    // name: the timer that forgets it
    this.typedAt = 0;
    this.counts = { received: 0, doubled: 0 };
    this.forget();
    socket.on('connect', () => (socket.recovered && this.ready ? this.flush() : this.join()));
    socket.on('disconnect', () => this.visit++);
    socket.on('new message', (data, room, at) => this.heard(data, room, at));
    socket.on('typing', (data, room) => room === wire(this.room) && this.typing(clean(data?.username), true));
    socket.on('stop typing', (data, room) => room === wire(this.room) && this.typing(clean(data?.username), false));
    socket.on('presence', (change) => this.presence(change));
    socket.on('sennit', (about) => about?.refused && this.refused(about.error));
  }

  forget() {
    this.ready = false;
    this.ids = new Set();
    this.early = [];      // live messages that came before the page of history
    this.oldest = null;   // the position of the oldest message that is shown
    this.more = false;
    this.people.clear();
    for (const name of [...this.typers.keys()]) this.typing(name, false);
  }

  /* Entering and leaving. */

  enter(room) {
    if (room === this.room) return;
    const left = this.room;
    this.stopTyping();
    this.room = room;
    this.forget();
    this.show.entered(room);
    for (const [id, { room: where, data }] of this.outbox) if (where === room) this.show.pending(message({ ...data, id }, null, Date.now()));
    if (left !== null) this.leave(left);
    if (this.socket.connected) this.join();
  }

  // A room with messages that wait to be sent is left after them: only those who are in a room may send to it.
  leave(room) {
    if (room !== this.room && this.socket.connected && !this.waitsFor(room)) this.socket.emit('leave', wire(room));
  }

  waitsFor(room) {
    for (const one of this.outbox.values()) if (one.room === room) return true;
    return false;
  }

  join() {
    if (this.room === null) return;
    const visit = ++this.visit; // answers to an earlier visit come too late
    this.ready = false;
    this.early = [];
    const rooms = new Set([this.room, ...[...this.outbox.values()].map((one) => one.room)]);
    this.socket.emit('join', [...rooms].map(wire), (answer) => {
      if (visit !== this.visit) return;
      if (answer?.error) return this.show.trouble(answer.error);
      this.flush();
      this.socket.emit('history', wire(this.room), { limit: PAGE }, (page) => visit === this.visit && this.loaded(page));
    });
  }

  /* Messages. */

  entries({ entries = [] }) {
    return entries.filter(({ args }) => args[0] === 'new message').map(({ args, at, time }) => message(args[1], at, time)).filter(Boolean);
  }

  // The newest page. If it does not touch what is shown, there is a hole between the two, and the page is shown alone.
  loaded(page) {
    if (page?.error) return this.show.trouble(page.error);
    const found = this.entries(page);
    const touches = this.ids.size === 0 || found.some((one) => this.ids.has(one.id)) || !page.more;
    if (!touches) {
      this.ids.clear();
      this.show.restarted();
    }
    const fresh = this.ids.size === 0;
    if (fresh) {
      this.oldest = page.entries[0]?.at ?? null;
      this.more = page.more;
      for (const one of found) this.ids.add(one.id);
      this.show.earlier(found, page);
    } else {
      for (const one of found) this.put(one);
    }
    for (const one of this.early) this.put(one);
    this.early = [];
    this.ready = true;
  }

  older() {
    if (!this.ready || !this.more || this.asking || this.oldest === null || !this.socket.connected) return;
    const visit = this.visit;
    this.asking = true;
    this.socket.timeout(10000).emit('history', wire(this.room), { limit: PAGE, before: this.oldest }, (error, page) => {
      this.asking = false;
      if (error || visit !== this.visit || page.error) return;
      const found = this.entries(page).filter((one) => !this.ids.has(one.id));
      this.oldest = page.entries[0]?.at ?? this.oldest;
      this.more = page.more;
      for (const one of found) this.ids.add(one.id);
      this.show.earlier(found, page);
    });
  }

  heard(data, room, at) {
    if (room !== wire(this.room)) return;
    const one = message(data, typeof at === 'string' ? at : null, Date.now());
    if (one === null) return;
    this.counts.received++;
    this.typing(one.username, false);
    if (this.ready) this.put(one, true);
    else this.early.push(one);
  }

  put(one, live = false) {
    if (this.ids.has(one.id)) {
      if (live) this.counts.doubled++;
      return;
    }
    this.ids.add(one.id);
    this.oldest ??= one.at;
    this.show.message(one);
  }

  /* Sending. */

  send(text) {
    const id = random();
    this.outbox.set(id, { room: this.room, data: { username: this.name, message: text.slice(0, TEXT_CHARS_MAX) } });
    this.outboxKeep();
    this.show.pending(message({ id, ...this.outbox.get(id).data }, null, Date.now()));
    this.stopTyping();
    if (this.socket.connected && this.ready) this.post(id);
    return id;
  }

  // A message that is refused for good is shown so, and not sent again. One that the broker cannot take now is not answered: see `refused`.
  post(id) {
    const { room, data } = this.outbox.get(id);
    this.socket.emit('new message', { id, ...data }, wire(room), (answer) => {
      if (!this.outbox.delete(id)) return;
      this.outboxKeep();
      if (room === this.room) answer?.error ? this.show.failed(id, answer.error) : this.show.sent(id);
      else this.leave(room);
    });
  }

  flush() {
    for (const id of this.outbox.keys()) this.post(id);
  }

  refused(why) {
    this.show.trouble(`The service cannot take messages at the moment (${why}). Yours are kept and sent again.`);
    this.again ??= setTimeout(() => {
      this.again = null;
      if (this.socket.connected && this.ready) this.flush();
    }, RETRY_MS);
  }

  outboxKeep() {
    try {
      sessionStorage.setItem(OUTBOX, JSON.stringify([...this.outbox]));
    } catch {} // full, or forbidden: then a reload forgets what waits
  }

  /* Typing. */

  typed(text) {
    if (text.trim() === '') return this.stopTyping();
    if (!this.socket.connected || !this.ready || Date.now() - this.typedAt < TYPING_EVERY_MS) return;
    this.typedAt = Date.now();
    this.socket.emit('typing', { username: this.name }, wire(this.room));
  }

  stopTyping() {
    if (this.typedAt > 0 && this.socket.connected) this.socket.emit('stop typing', { username: this.name }, wire(this.room));
    this.typedAt = 0;
  }

  typing(name, does) {
    if (name === '' || (!does && !this.typers.has(name))) return;
    clearTimeout(this.typers.get(name));
    if (does && this.typers.size < 20) this.typers.set(name, setTimeout(() => this.typing(name, false), TYPING_FOR_MS));
    else this.typers.delete(name);
    this.show.typing([...this.typers.keys()]);
  }

  /* People. */

  presence({ room, members, entered, left, count, more = false }) {
    if (room === null) return this.show.everywhere(count);
    if (room !== wire(this.room)) return;
    const named = (list = []) => list.map(({ id, data }) => [id, clean(data?.name) || 'somebody']);
    // The server lists only some members of a full room. The reader is always one of them here.
    if (members) this.people = new Map([...(this.socket.connected ? [[this.socket.id, this.name]] : []), ...named(members)]);
    for (const [id, name] of named(entered)) {
      if (!this.people.has(id) && id !== this.socket.id) this.show.came(name);
      this.people.set(id, name);
    }
    for (const [id, name] of named(left)) {
      this.people.delete(id);
      this.typing(name, false);
      this.show.went(name);
    }
    this.show.people([...this.people], count, more || count > this.people.size);
  }
}
