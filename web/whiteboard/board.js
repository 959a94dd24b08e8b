// board: the page: the drawing, the hand that draws, the tools, the people, and a badge that says whether all is saved.

import { Drawing } from './drawing.js';
import { Hand } from './hand.js';
import { leaveWithPage, Link } from './link.js';
import { complain, copyAddress, disclosure, make, page, roomInAddress, roomOf, showFacts } from './page.js';
import { People } from './people.js';
import { clean, hue, initials, keepName, keptName, random, suggestion } from './person.js';
import { WIDTH } from './picture.js';
import { Tools } from './tools.js';
import { View } from './view.js';

const room = roomInAddress('');
const me = { name: keptName() || suggestion() };
keepName(me.name);

const drawing = new Drawing(page('board'), room, {
  drawn: () => document.body.classList.add('drawn'),
  turned: () => {
    document.body.classList.remove('drawn');
    enable();
  },
  saved: () => {
    showBadge();
    enable();
  },
});
const { socket } = drawing;
const view = new View(page('stage'), page('paper'));
const people = new People(room, me, () => {
  showBadge();
  showPeople();
});
const tools = new Tools({ undo: () => drawing.undo(), redo: () => drawing.redo(), clear: askClear, save, view });
new Hand(page('board'), { drawing, view, people, pen: () => tools.pen() });

function enable() {
  tools.enable(drawing.done.length > 0, drawing.undone.length > 0);
}
enable();

/* The badge: people first, then whether all is saved; the connection on a click. */

const link = new Link(socket, () => {
  page('trouble').textContent = link.sentence;
  showBadge();
});

leaveWithPage(socket, people.socket);
// Unsaved strokes are only here.
addEventListener('beforeunload', (event) => drawing.outbox.size > 0 && event.preventDefault());

let badgeShows = '';

function saying() {
  const waiting = drawing.outbox.size;
  if (link.state !== 'live') return waiting ? `${link.word}, ${waiting} kept` : link.word;
  return waiting ? 'saving' : 'saved';
}

function showBadge() {
  const { count } = people;
  const shown = `${count} ${link.state} ${saying()}`;
  if (page('details').classList.contains('open')) showFacts(page('facts'), link.facts());
  if (shown === badgeShows) return; // every stroke asks
  badgeShows = shown;
  document.body.dataset.link = link.state;
  page('crowd').replaceChildren(...(count ? [String(count), make('span', { class: 'unit' }, count === 1 ? ' person' : ' people')] : []));
  page('saying').textContent = saying();
}

function showPeople() {
  const list = people.list().slice(0, 100);
  page('people').replaceChildren(...list.map(({ name, me: self }) => {
    const face = make('span', { class: 'face', 'aria-hidden': 'true' }, initials(name));
    face.style.setProperty('--hue', hue(name));
    return make('li', {}, face, make('bdi', {}, name), ...(self ? [make('small', {}, 'you')] : []));
  }));
  page('people').tabIndex = page('people').scrollHeight > page('people').clientHeight ? 0 : -1; // arrow keys scroll a long list
  if (people.count > list.length) page('people').append(make('li', {}, `and ${people.count - list.length} others`));
}

disclosure(page('badge'), page('details'), showBadge);
setInterval(showBadge, 500);

page('naming').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = clean(page('name').value);
  if (!name) return complain(page('name'), 'Write a name that others can see.');
  if (name !== me.name) {
    keepName((me.name = name));
    people.renamed();
  }
  page('name').value = me.name;
});
page('name').value = me.name;

/* The board: its address, a picture of it, a clean page. */

page('title').textContent = room ? `#${room}` : 'Main board';
document.title = room ? `#${room} · Whiteboard` : 'Whiteboard';
disclosure(page('boards'), page('other'), (opened) => {
  if (!opened) return;
  page('fresh').href = `#${random().slice(0, 10)}`;
  page('room').focus();
});
page('go').addEventListener('submit', (event) => {
  event.preventDefault();
  const room = roomOf(page('room').value);
  if (!room && page('room').value.trim()) return complain(page('room'), 'A board has a name with letters or digits, or none.');
  location.hash = encodeURIComponent(room);
});
// Another board is another page.
addEventListener('hashchange', () => location.reload());
page('copy').addEventListener('click', () => copyAddress(page('copy'), page('copied')));

function save() {
  page('board').toBlob((blob) => {
    const link = make('a', { href: URL.createObjectURL(blob), download: `whiteboard-${WIDTH}.png` });
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
page('save').addEventListener('click', save);

function askClear() {
  page('sure').showModal();
}
page('clear').addEventListener('click', askClear);
page('sure').addEventListener('close', () => page('sure').returnValue === 'clear' && drawing.clear());

// For tests and the curious.
window.board = {
  drawing, people, view, tools, link, socket,
  picture: drawing.picture,
  outbox: drawing.outbox,
  get received() { return drawing.counts.received; },
  get doubled() { return drawing.counts.doubled; },
  get connects() { return drawing.counts.connects; },
  get instance() { return link.instance; },
  ids: () => [...drawing.picture.ids],
  draw: (from, to) => drawing.draw(from, to, tools.pen()),
};
