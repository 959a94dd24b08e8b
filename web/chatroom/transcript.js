// transcript: the messages of a room as elements: in the order of the conversation, those of one person together, and below them
// those that are still on their way. It stays at the newest message while the reader does, and keeps the place of a reader above.

import { hue, initials, keep, kept } from './person.js';
import { listed, make, page } from './page.js';

const TOGETHER_MS = 5 * 60 * 1000;
const SHOWN_MAX = 600;  // messages; beyond it the oldest leave the page, and come back by scrolling up
const NAMES_MAX = 3;
const NEAR_PX = 80;
const MINE = 'sennit.mine';
const MINE_MAX = 500;

function mineRead() {
  try {
    return JSON.parse(kept(MINE) ?? '[]');
  } catch {
    return [];
  }
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

export class Transcript {
  // `top()` is called when the reader comes near the top, `read(newer)` with the number of messages below the reader.
  constructor({ top, read }) {
    this.scroller = page('scroll');
    this.log = page('log');
    this.pending = page('pending');
    this.read = read;
    this.mine = new Set(mineRead()); // ids of messages that were written in this browser
    this.clear();
    this.scroller.addEventListener('scroll', () => {
      const { scrollTop } = this.scroller;
      if (this.atEnd()) this.seen();
      else if (scrollTop < this.at) this.stuck = false;
      this.at = scrollTop;
      if (scrollTop < 300) top();
    }, { passive: true });
    new ResizeObserver(() => this.stuck && this.toEnd()).observe(this.scroller);
  }

  clear() {
    this.log.replaceChildren();
    this.pending.replaceChildren();
    this.waiting = new Map(); // id: the element of an own message that is on its way
    this.notice = null;
    this.newer = 0;
    this.stuck = true; // the reader is at the end
    this.at = 0;       // where the reader was
    this.read(0);
  }

  // Only what is on its way stays.
  restart() {
    this.log.replaceChildren();
    this.notice = null;
  }

  atEnd() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < NEAR_PX;
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.at = this.scroller.scrollTop;
    this.seen();
  }

  // Once a frame: measuring the page for each of many messages would be slow.
  toEndSoon() {
    this.soon ??= requestAnimationFrame(() => {
      this.soon = undefined;
      if (this.stuck) this.toEnd();
    });
  }

  seen() {
    this.stuck = true;
    if (this.newer > 0) this.read((this.newer = 0));
  }

  // Something is new at the end: the reader follows, or is told that there is something below.
  below(counts) {
    if (this.stuck) this.toEndSoon();
    else if (counts) this.read(++this.newer);
  }

  element(one) {
    const body = make('p', { class: 'text', dir: 'auto' }, one.text);
    const time = make('time', { datetime: new Date(one.time).toISOString(), title: new Date(one.time).toLocaleString() }, clock.format(one.time));
    const face = make('span', { class: 'face', 'aria-hidden': 'true' }, initials(one.username));
    face.style.setProperty('--hue', hue(one.username));
    const name = make('bdi', { class: 'name' }, one.username);
    const element = make('article', { class: this.mine.has(one.id) ? 'message mine' : 'message' }, face, make('div', { class: 'bubble' }, make('header', {}, name, ' ', time), body));
    Object.assign(element, { username: one.username, time: one.time, at: one.at });
    element.dataset.id = one.id;
    return element;
  }

  // Whether a message follows the one before it without a head of its own, and whether a day begins with it.
  settle(element) {
    const before = element.previousElementSibling;
    const isSame = before?.username === element.username && before.classList.contains('mine') === element.classList.contains('mine'); // two people may share a name
    const follows = before?.classList.contains('message') && isSame && element.time - before.time < TOGETHER_MS;
    element.classList.toggle('follows', Boolean(follows));
    const date = new Date(element.time).toDateString();
    let last = before;
    while (last && last.time === undefined) last = last.previousElementSibling;
    if (last ? new Date(last.time).toDateString() !== date : date !== new Date().toDateString()) {
      if (before?.classList.contains('day')) before.remove();
      element.before(make('p', { class: 'day' }, day.format(element.time)));
      element.classList.remove('follows');
    }
  }

  message(one) {
    const waited = this.waiting.get(one.id);
    waited?.remove();
    this.waiting.delete(one.id);
    const element = this.element(one);
    this.log.append(element);
    this.settle(element);
    this.notice = null;
    this.trim();
    this.below(!waited);
  }

  // Tells the owner where the transcript now begins, if messages left it.
  trim() {
    if (!this.stuck || this.log.childElementCount <= SHOWN_MAX) return;
    while (this.log.childElementCount > SHOWN_MAX - 200) this.log.firstElementChild.remove();
    const first = this.log.querySelector('.message');
    this.trimmed?.(first.at, new Set(Array.from(this.log.querySelectorAll('.message'), (element) => element.dataset.id)));
  }

  // Messages before all that are shown. Nobody wants them read out.
  earlier(list) {
    const { scroller, log } = this;
    const height = scroller.scrollHeight;
    const top = scroller.scrollTop;
    const next = log.querySelector('.message');
    log.setAttribute('aria-live', 'off');
    const elements = list.map((one) => {
      this.waiting.get(one.id)?.remove();
      this.waiting.delete(one.id);
      return this.element(one);
    });
    log.querySelector('.day:first-child')?.remove();
    log.prepend(...elements);
    for (const element of elements) this.settle(element);
    if (next && elements.length) this.settle(next);
    if (this.stuck && !next) this.toEnd();
    else scroller.scrollTop = top + scroller.scrollHeight - height;
    requestAnimationFrame(() => log.setAttribute('aria-live', 'polite'));
  }

  // An own message that is on its way.
  onTheWay(one) {
    if (!this.mine.has(one.id)) keep(MINE, JSON.stringify([...mineRead(), one.id].slice(-MINE_MAX)));
    this.mine.add(one.id);
    const element = this.element(one);
    element.querySelector('.bubble').append(make('p', { class: 'state' }, 'sending'));
    this.waiting.set(one.id, element);
    this.pending.append(element);
    this.toEnd();
  }

  // Accepted. It takes its place in the log when it comes back, mostly at once. The newest such message says so.
  sent(id) {
    const element = this.waiting.get(id) ?? this.log.querySelector(`[data-id="${CSS.escape(id)}"]`);
    const bubble = element?.querySelector('.bubble');
    if (!bubble) return;
    for (const state of this.log.querySelectorAll('.state')) state.remove();
    const state = bubble.querySelector('.state') ?? make('p', { class: 'state' });
    state.textContent = 'sent';
    bubble.append(state);
    this.below(false);
  }

  failed(id, why) {
    const element = this.waiting.get(id);
    if (!element) return;
    element.classList.add('failed');
    element.querySelector('.state').textContent = `not sent: ${why}`;
  }

  // "ada joined · bob left": one line for all that happens between two messages.
  moved(name, verb) {
    if (this.notice === null) {
      this.notice = make('p', { class: 'notice' });
      Object.assign(this.notice, { joined: [], left: [] });
      this.log.append(this.notice);
    }
    const { joined, left } = this.notice;
    const names = verb === 'joined' ? joined : left;
    if (!names.includes(name) && names.length < 1000) names.push(name);
    const said = [[joined, 'joined'], [left, 'left']].filter(([who]) => who.length).map(([who, did]) => [...listed(who, NAMES_MAX), ` ${did}`]);
    this.notice.replaceChildren(...said.flatMap((parts, i) => (i > 0 ? [' · ', ...parts] : parts)));
    this.below(false);
  }
}
