// people: who else is at this board, and where they point. Nothing of it is kept: a pointer that a cut client misses is no loss.

import { open } from './link.js';
import { make, page } from './page.js';
import { clean, hue } from './person.js';

const EVERY_MS = 50;       // between two places of one's pointer, and more with many people
const GONE_MS = 15000;     // a pointer that stands still for so long is hidden
const POINTERS_MAX = 50;

export class People {
  // `changed()` is called when somebody has come, gone, or taken a name.
  constructor(room, me, changed) {
    this.wire = `#${room || 'main board'}`;
    this.me = me; // {name}
    this.changed = changed;
    this.names = new Map();    // socket id: name
    this.count = 0;
    this.pointers = new Map(); // socket id: {element, timer}
    this.next = null;
    this.sentAt = 0;
    this.socket = open('/people', { auth: (give) => give({ user: { name: this.me.name } }) });
    this.socket.on('connect', () => this.socket.emit('join', this.wire));
    this.socket.on('disconnect', () => this.hideAll());
    this.socket.on('presence', (change) => change.room === this.wire && this.presence(change));
    this.socket.on('cursor', (at) => at !== null && typeof at === 'object' && this.pointed(at));
  }

  // The others know a connection by the name that it came with.
  renamed() {
    this.socket.disconnect().connect();
  }

  presence({ members, entered = [], left = [], count }) {
    const nameOf = ({ id, data }) => [id, clean(data?.name) || 'Somebody'];
    // The server lists only some of many members. The reader is always one of them here.
    if (members) this.names = new Map([...(this.socket.connected ? [[this.socket.id, this.me.name]] : []), ...members.map(nameOf)]);
    for (const one of entered) this.names.set(...nameOf(one));
    for (const { id } of left) {
      this.names.delete(id);
      this.hide(id);
    }
    this.count = count;
    this.changed();
  }

  // Everybody who is known by name, the person here first.
  list() {
    return [...this.names].map(([id, name]) => ({ name, me: id === this.socket.id })).sort((a, b) => b.me - a.me || a.name.localeCompare(b.name, undefined, { numeric: true }));
  }

  /* One's own pointer: `at` is a place on the board; null: it has left. */

  point(at) {
    this.next = at;
    if (this.timer !== undefined) return;
    const every = EVERY_MS * Math.max(1, this.count / 8);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.sentAt = Date.now();
      if (this.count > 1) this.socket.volatile.emit('cursor', { id: this.socket.id, x: this.next?.x ?? null, y: this.next?.y ?? null }, this.wire);
    }, Math.max(0, this.sentAt + every - Date.now()));
  }

  /* The others' pointers. */

  pointed({ id, x, y }) {
    if (!this.names.has(id) || id === this.socket.id) return;
    if (!Number.isFinite(x) || !Number.isFinite(y) || x < 0 || x > 1 || y < 0 || y > 1) return this.hide(id);
    let pointer = this.pointers.get(id);
    if (!pointer) {
      if (this.pointers.size >= POINTERS_MAX) return;
      const name = this.names.get(id);
      pointer = { element: make('div', { class: 'pointer' }, make('span', { class: 'arrow' }), make('bdi', {}, name)) };
      pointer.element.style.setProperty('--hue', hue(name));
      page('pointers').append(pointer.element);
      this.pointers.set(id, pointer);
    }
    pointer.element.style.left = `${x * 100}%`;
    pointer.element.style.top = `${y * 100}%`;
    clearTimeout(pointer.timer);
    pointer.timer = setTimeout(() => this.hide(id), GONE_MS);
  }

  hide(id) {
    const pointer = this.pointers.get(id);
    clearTimeout(pointer?.timer);
    pointer?.element.remove();
    this.pointers.delete(id);
  }

  hideAll() {
    for (const id of [...this.pointers.keys()]) this.hide(id);
  }
}
