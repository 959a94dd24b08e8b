// board: the page: pointers become strokes, strokes go out and come in, and a badge says where this tab is.
//
// What is drawn here is lost by nobody: a stroke stays in the outbox until the server says that it has been accepted, and is sent
// again on every connect until then. It has an id, so a stroke that is sent twice is kept once. Ids are random: whoever could guess
// the next one could take it first.

import { Picture, WIDTH } from './picture.js';

const COLOURS = ['#1c2430', '#d64545', '#e8833a', '#e3b021', '#2a9d5c', '#2f6fdd', '#8a4fd3'];
const WIDTHS = [3, 7, 16];
const RETRY_MS = 2000;

const page = (id) => document.getElementById(id);
const canvas = page('board');
const picture = new Picture(canvas);
const outbox = new Map();
let drawn = 0;
let colour = COLOURS[Math.floor(Math.random() * COLOURS.length)];
let width = WIDTHS[1];

// WebSocket only: long-polling would spread one session's requests over instances that know nothing of it.
const socket = io({ transports: ['websocket'], reconnectionDelay: 300, reconnectionDelayMax: 2000 });

// For tests and the curious.
const board = {
  picture, socket, outbox,
  received: 0,       // `drawing` events, ever
  doubled: 0,        // of those, strokes that were here already
  receivedSince: 0,  // since the last connect
  connects: [],      // of each connect: was it recovered?
  instance: null,
  ids: () => [...picture.ids],
};
window.board = board;

/* Sending. */

const random = () => Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => byte.toString(36).padStart(2, '0')).join('');

// The number in front keeps strokes of one moment in the order in which they were drawn.
const newId = () => `${(drawn++).toString(36).padStart(5, '0')}-${random()}`;

// A stroke that the server cannot take now is not acknowledged: it stays in the outbox and is sent again, see `refused` below.
function send(stroke) {
  socket.emit('drawing', stroke, () => outbox.delete(stroke.id));
}

let again = null;
function sendAgain() {
  again ??= setTimeout(() => {
    again = null;
    if (socket.connected) for (const stroke of outbox.values()) send(stroke);
  }, RETRY_MS);
}

function draw(from, to) {
  const stroke = { id: newId(), t: Date.now(), x0: from.x, y0: from.y, x1: to.x, y1: to.y, color: colour, w: width };
  picture.add(stroke);
  outbox.set(stroke.id, stroke);
  if (socket.connected) send(stroke);
  document.body.classList.add('drawn');
}
board.draw = draw;

/* Receiving. The last argument of every event is the position that socket.io-client keeps for us. */

socket.on('drawing', (stroke) => {
  board.received++;
  board.receivedSince++;
  if (stroke === null || typeof stroke !== 'object') return;
  if (!picture.add(stroke)) board.doubled++;
  document.body.classList.add('drawn');
  caughtUp();
});

let away = false;
socket.on('connect', () => {
  board.connects.push(socket.recovered);
  board.receivedSince = 0;
  if (!socket.recovered) {
    // Everything comes again; what nobody has accepted yet is only here.
    picture.clear();
    for (const stroke of outbox.values()) picture.add(stroke);
  }
  for (const stroke of outbox.values()) send(stroke);
  document.body.dataset.state = 'live';
  if (away) say(socket.recovered ? 'resumed' : 'reloaded');
  away = false;
});

socket.on('disconnect', () => {
  away = true;
  document.body.dataset.state = 'away';
  page('where').textContent = 'reconnecting';
  deadline = null;
  say('');
});

socket.on('connect_error', () => {
  document.body.dataset.state = 'away';
  page('where').textContent = 'out of reach, trying on';
});

/* The badge. */

let deadline = null;
let sayTimer = 0;

socket.on('sennit', (about) => {
  if (about.refused) return sendAgain();
  board.instance = about.instance;
  page('where').textContent = `on ${about.instance}`;
  deadline = about.deadline_ms === null ? null : Date.now() + about.deadline_ms;
  tell();
});

function say(text) {
  page('resumed').textContent = text;
  clearTimeout(sayTimer);
  if (text) sayTimer = setTimeout(() => (page('resumed').textContent = ''), 6000);
}

function caughtUp() {
  const badge = page('resumed');
  if (badge.textContent.startsWith('resumed')) badge.textContent = `resumed, ${board.receivedSince} caught up`;
}

function tell() {
  const left = deadline === null ? null : Math.max(0, Math.round((deadline - Date.now()) / 1000));
  page('deadline').textContent = left === null ? '' : `cut in ${left >= 60 ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}` : `${left} s`}`;
}
setInterval(tell, 500);

/* Pointers: one stroke a frame each, however fast they report. */

const pointers = new Map();

function place(event) {
  const box = canvas.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
}

function flushPointers() {
  for (const pointer of pointers.values()) {
    if (pointer.next) draw(pointer.at, pointer.next);
    pointer.at = pointer.next ?? pointer.at;
    pointer.next = null;
  }
}

canvas.addEventListener('pointerdown', (event) => {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, { at: place(event), next: null, moved: false });
});

canvas.addEventListener('pointermove', (event) => {
  const pointer = pointers.get(event.pointerId);
  if (!pointer) return;
  if (!pointer.next) requestAnimationFrame(flushPointers);
  pointer.next = place(event);
  pointer.moved = true;
});

function lift(event) {
  const pointer = pointers.get(event.pointerId);
  if (!pointer) return;
  flushPointers();
  if (!pointer.moved) draw(pointer.at, pointer.at); // a dot
  pointers.delete(event.pointerId);
}
canvas.addEventListener('pointerup', lift);
canvas.addEventListener('pointercancel', lift);

/* Tools. */

function choices(parent, values, describe, choose) {
  const buttons = values.map((value, n) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('role', 'radio');
    describe(button, value, n);
    button.addEventListener('click', () => {
      for (const other of buttons) other.setAttribute('aria-checked', String(other === button));
      choose(value);
    });
    parent.append(button);
    return button;
  });
  return buttons;
}

const names = ['ink', 'red', 'orange', 'yellow', 'green', 'blue', 'violet'];
const colours = choices(page('colours'), COLOURS, (button, value, n) => {
  button.style.setProperty('--c', value);
  button.setAttribute('aria-label', names[n]);
  button.innerHTML = '<span class="dot"></span>';
}, (value) => (colour = value));
colours[COLOURS.indexOf(colour)].click();

const widths = choices(page('widths'), WIDTHS, (button, value) => {
  button.style.setProperty('--w', `${4 + value}px`);
  button.setAttribute('aria-label', `${value} wide`);
  button.innerHTML = '<span class="stroke"></span>';
}, (value) => (width = value));
widths[1].click();

page('save').addEventListener('click', () => {
  canvas.toBlob((blob) => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = `whiteboard-${WIDTH}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
});
