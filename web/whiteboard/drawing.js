// drawing: the shared drawing: what is drawn here goes out, what others draw comes in.
//
// No stroke is lost: an event stays in the outbox until the server says that it has been accepted, and is sent
// again on every connect until then. It has an id, so one that is sent twice is kept once. Ids are random: whoever could guess the
// next one could take it first.
//
// The board without a name is the namespace `/`, where stock whiteboards draw, too. Boards with names are rooms of `/boards`.

import { open } from './link.js';
import { random } from './person.js';
import { Picture } from './picture.js';

const RETRY_MS = 2000;

export class Drawing {
  // `show.drawn()`: something is on the board; `show.turned()`: nothing is any more; `show.saved()`: the outbox has changed.
  constructor(canvas, room, show) {
    this.picture = new Picture(canvas);
    this.room = room; // empty: the board without a name
    this.show = show;
    this.socket = open(room === '' ? '/' : '/boards');
    this.outbox = new Map(); // id: {event, data}
    this.joined = room === '';
    this.made = 0;
    this.done = [];   // gestures that were drawn here, for undo
    this.undone = []; // and those that were undone, for redo
    // For tests: strokes that came, those that had been here before, those since the last connect, and of each connect: was it recovered?
    this.counts = { received: 0, doubled: 0, since: 0, connects: [] };
    this.listen();
  }

  get wire() {
    return this.room === '' ? [] : [`#${this.room}`];
  }

  listen() {
    const { socket } = this;
    const taken = (take) => (data) => data !== null && typeof data === 'object' && take(data);
    socket.on('drawing', taken((data) => this.received(data)));
    socket.on('undo', taken((data) => this.picture.undo(data)));
    socket.on('clear', taken((data) => this.picture.clear(data) && this.turned()));
    socket.on('connect', () => this.connected());
    socket.on('sennit', (about) => about.refused && this.sendAgain());
  }

  received(data) {
    this.counts.received++;
    this.counts.since++;
    const { page } = this.picture;
    if (!this.picture.add(data)) this.counts.doubled++;
    if (this.picture.page !== page) this.turned();
    this.show.drawn();
  }

  connected() {
    this.counts.connects.push(this.socket.recovered);
    this.counts.since = 0;
    if (!this.socket.recovered) {
      // Everything comes again; what nobody has accepted yet is only here.
      this.picture.reset();
      this.joined = this.room === '';
      for (const { event, data } of this.outbox.values()) {
        if (event === 'drawing') this.picture.add(data);
        else if (event === 'undo') this.picture.undo(data);
      }
    }
    if (this.joined) return this.flush();
    this.socket.emit('join', ...this.wire, (answer) => {
      if (answer?.error) return;
      this.joined = true;
      this.flush();
    });
  }

  flush() {
    for (const id of this.outbox.keys()) this.send(id);
  }

  // An event that the server cannot take now is not acknowledged: it stays in the outbox and is sent again.
  send(id) {
    const { event, data } = this.outbox.get(id);
    this.socket.emit(event, data, ...this.wire, () => {
      this.outbox.delete(id);
      this.show.saved();
    });
  }

  sendAgain() {
    this.again ??= setTimeout(() => {
      this.again = null;
      if (this.socket.connected && this.joined) this.flush();
    }, RETRY_MS);
  }

  // The number in front keeps strokes of one moment in the order in which they were drawn. The time is later than all that is seen,
  // whatever the clocks of others say: what is drawn now lies on top.
  post(event, more) {
    const data = { id: `${(this.made++).toString(36).padStart(5, '0')}-${random()}`, t: Math.max(Date.now(), this.picture.newest + 1), p: this.picture.page, ...more };
    this.outbox.set(data.id, { event, data });
    if (this.socket.connected && this.joined) this.send(data.id);
    this.show.saved();
    return data;
  }

  /* What a person does. */

  draw(from, to, { color, w, g = null }) {
    const gesture = g === null ? {} : { g };
    this.picture.add(this.post('drawing', { x0: from.x, y0: from.y, x1: to.x, y1: to.y, color, w, ...gesture }));
    if (g !== null && this.done.at(-1) !== g) {
      this.done.push(g);
      this.undone = [];
    }
    this.show.drawn();
  }

  decide(from, to, off) {
    const g = from.pop();
    if (g === undefined) return false;
    to.push(g);
    this.picture.undo(this.post('undo', { g, off }));
    return true;
  }

  undo() {
    return this.decide(this.done, this.undone, true);
  }

  redo() {
    return this.decide(this.undone, this.done, false);
  }

  // Done when it comes back: all boards turn the page at the same place of the log.
  clear() {
    this.post('clear', {});
  }

  turned() {
    this.done = [];
    this.undone = [];
    this.show.turned();
  }
}
