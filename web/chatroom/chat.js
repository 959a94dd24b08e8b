// chat: the page: a conversation, its transcript, the people, the link to the service, and the keys and buttons that drive them.

import { Conversation, TEXT_CHARS_MAX } from './conversation.js';
import { leaveWithPage, Link, open } from './link.js';
import { complain, copyAddress, disclosure, listed, make, page, roomInAddress, roomOf, showFacts } from './page.js';
import { clean, hue, initials, keep, keepName, kept, keptName, suggestion } from './person.js';
import { Transcript } from './transcript.js';

const ROOMS = 'sennit.rooms';
const ROOMS_MAX = 12;
const FIRST_ROOM = 'lobby';

let unread = 0;
let rooms = [];
try {
  rooms = JSON.parse(kept(ROOMS) ?? '[]').map(roomOf).filter(Boolean);
} catch {}

const socket = open('/', { autoConnect: false, auth: (give) => give({ user: { name: conversation.name } }) });

/* The transcript, and what the conversation shows. */

const transcript = new Transcript({
  top: () => conversation.older(),
  read: (newer) => {
    page('jump').hidden = newer === 0;
    page('jump').textContent = `${newer} new ${newer === 1 ? 'message' : 'messages'}`;
  },
});

const away = () => document.hidden || !document.hasFocus();

function title() {
  document.title = `${unread ? `(${unread}) ` : ''}#${conversation.room} · Chatroom`;
}

const conversation = new Conversation(socket, {
  entered(room) {
    unread = 0;
    page('title').textContent = `#${room}`;
    page('text').placeholder = `Message #${room}`;
    page('log').setAttribute('aria-label', `Messages in ${room}`);
    page('older').textContent = '';
    transcript.clear();
    showPeople([], 0, false);
  },
  message(one) {
    const mine = transcript.mine.has(one.id);
    transcript.message(one);
    if (!mine && away()) {
      unread++;
      title();
    }
    if (mine && !conversation.outbox.has(one.id)) transcript.sent(one.id);
  },
  earlier(list, { more, gap }) {
    transcript.earlier(list);
    page('older').textContent = more ? '' : gap ? 'Older messages are no longer kept.' : `This is the beginning of #${conversation.room}.`;
  },
  restarted: () => transcript.restart(),
  pending: (one) => transcript.onTheWay(one),
  sent: (id) => transcript.sent(id),
  failed: (id, why) => transcript.failed(id, why),
  came: (name) => transcript.moved(name, 'joined'),
  went: (name) => transcript.moved(name, 'left'),
  people: showPeople,
  everywhere: (count) => (page('everywhere').textContent = count > 1 ? `${count} people in all rooms` : ''),
  typing(names) {
    if (names.length > 3) page('typing').textContent = 'Several people are typing';
    else page('typing').replaceChildren(...(names.length ? [...listed(names), ` ${names.length > 1 ? 'are' : 'is'} typing`] : []));
  },
  trouble,
});

transcript.trimmed = (oldest, ids) => {
  if (oldest === null) return;
  Object.assign(conversation, { oldest, ids, more: true });
  page('older').textContent = '';
};

/* People. */

function face(name) {
  const element = make('span', { class: 'face', 'aria-hidden': 'true' }, initials(name));
  element.style.setProperty('--hue', hue(name));
  return element;
}

function showPeople(people, count, more) {
  const named = people.map(([id, name]) => ({ name, me: id === socket.id })).sort((a, b) => b.me - a.me || a.name.localeCompare(b.name, undefined, { numeric: true })).slice(0, 200);
  page('people').replaceChildren(...named.map(({ name, me }) => make('li', {}, face(name), make('bdi', {}, name), ...(me ? [make('small', {}, 'you')] : []))));
  if (more && count > named.length) page('people').append(make('li', { class: 'others' }, `and ${count - named.length} others`));
  page('people').tabIndex = page('people').scrollHeight > page('people').clientHeight ? 0 : -1; // arrow keys scroll a long list
  page('count').textContent = count || '';
  page('here').textContent = count ? `${count} here` : '';
}

/* The link. */

let troubleTimer = 0;

function trouble(text) {
  clearTimeout(troubleTimer);
  page('trouble').textContent = text;
  if (text && link.state === 'live') troubleTimer = setTimeout(() => (page('trouble').textContent = ''), 8000);
}

function showLink() {
  document.body.dataset.link = link.state;
  page('state').textContent = link.word;
  page('link').setAttribute('aria-label', `Connection: ${link.word}. Details`);
  if (page('details').classList.contains('open')) showFacts(page('facts'), link.facts());
}

// While it is not live: why, and what becomes of what was written.
function showTrouble() {
  const waiting = conversation.outbox.size;
  const kept = waiting ? ` ${waiting === 1 ? 'Your message is' : `Your ${waiting} messages are`} kept and sent then.` : '';
  trouble(link.sentence && link.sentence + kept);
}

const link = new Link(socket, () => {
  showTrouble();
  showLink();
});
leaveWithPage(socket);
disclosure(page('link'), page('details'), showLink);
setInterval(showLink, 1000);

/* Rooms. */

const menu = disclosure(page('menu'), page('side'), (opened) => opened && page('rooms').querySelector('[aria-current]')?.focus());

function showRooms() {
  page('rooms').replaceChildren(...rooms.map((room) => make('li', {},
    make('a', { href: `#${encodeURIComponent(room)}`, 'aria-current': room === conversation.room ? 'page' : null }, make('bdi', {}, room)))));
}

function enter() {
  const room = roomInAddress(FIRST_ROOM);
  if (!location.hash) history.replaceState(null, '', `#${room}`);
  rooms = [room, ...rooms.filter((other) => other !== room)].slice(0, ROOMS_MAX);
  keep(ROOMS, JSON.stringify(rooms));
  conversation.enter(room);
  showRooms();
  title();
}

addEventListener('hashchange', () => {
  enter();
  menu(false);
  page('text').focus();
});

page('go').addEventListener('submit', (event) => {
  event.preventDefault();
  const room = roomOf(page('room').value);
  if (!room) return complain(page('room'), 'A room has a name with letters or digits.');
  page('room').value = '';
  location.hash = encodeURIComponent(room);
});

page('copy').addEventListener('click', () => copyAddress(page('copy'), page('copied')));

/* Writing. */

const text = page('text');

function grow() {
  text.style.height = 'auto';
  text.style.height = `${Math.min(text.scrollHeight, 160)}px`;
  page('send').disabled = text.value.trim() === '';
}

page('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const written = text.value.trim();
  if (written === '') return;
  conversation.send(written.slice(0, TEXT_CHARS_MAX));
  if (link.state !== 'live') showTrouble();
  text.value = '';
  grow();
  text.focus();
});

text.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return; // 229: Safari, while one composes
  event.preventDefault();
  page('composer').requestSubmit();
});

text.addEventListener('input', () => {
  grow();
  conversation.typed(text.value);
});
text.addEventListener('blur', () => conversation.stopTyping());

page('jump').addEventListener('click', () => {
  transcript.toEnd();
  text.focus();
});

for (const event of ['focus', 'visibilitychange']) {
  addEventListener(event, () => {
    if (away() || unread === 0) return;
    unread = 0;
    title();
  });
}

/* The name. */

function named(name) {
  keepName(name);
  conversation.name = name;
  page('my-name').textContent = name;
  page('my-face').textContent = initials(name);
  page('my-face').style.setProperty('--hue', hue(name));
  // The others know a connection by the name that it came with.
  if (socket.connected) socket.disconnect();
  socket.connect();
}

function askName() {
  page('name').value = conversation.name || suggestion();
  page('welcome').showModal();
  page('name').select();
}

page('naming').addEventListener('submit', (event) => {
  const name = clean(page('name').value);
  if (name === '') {
    event.preventDefault();
    complain(page('name'), 'Write a name that others can see.');
    return;
  }
  if (name !== conversation.name) named(name);
});
// Nobody writes without a name.
page('welcome').addEventListener('cancel', (event) => conversation.name === '' && event.preventDefault());
page('welcome').addEventListener('close', () => (conversation.name === '' ? askName() : text.focus()));
page('rename').addEventListener('click', () => {
  menu(false);
  askName();
});

enter();
grow();
if (keptName()) named(keptName());
else askName();
if (conversation.name && matchMedia('(pointer: fine)').matches) text.focus();

// For tests and the curious.
window.chat = { socket, conversation, transcript, link };
