// tools: the toolbar: what one draws with, undo and redo, and the keys for all of it. It is one stop for Tab; arrow keys move within.

import { make, page } from './page.js';

const COLOURS = [['Ink', '#1c2430'], ['Red', '#d64545'], ['Orange', '#e8833a'], ['Yellow', '#e3b021'], ['Green', '#2a9d5c'], ['Blue', '#2f6fdd'], ['Violet', '#8a4fd3']];
const WIDTHS = [['Thin', 3], ['Medium', 7], ['Thick', 16]];
const ERASER = { color: '#ffffff', times: 4 };

// Buttons of which one is chosen. Returns `choose(n)`.
function choices(parent, entries, key, look, chosen) {
  const buttons = entries.map(([label, value], n) => {
    const keys = key(n);
    const button = make('button', { type: 'button', role: 'radio', 'aria-label': label, title: `${label} (${keys})`, 'aria-keyshortcuts': keys, tabindex: '-1' });
    look(button, value);
    button.addEventListener('click', () => choose(n));
    parent.append(button);
    return button;
  });
  function choose(n) {
    buttons.forEach((button, at) => button.setAttribute('aria-checked', String(at === n)));
    chosen(n);
  }
  return choose;
}

export class Tools {
  constructor({ undo, redo, clear, save, view }) {
    this.colour = Math.floor(Math.random() * COLOURS.length);
    this.width = 1;
    this.erases = false;
    const pens = [page('pen'), page('eraser')];
    this.take = (erases) => {
      this.erases = erases;
      document.body.classList.toggle('erasing', erases);
      pens.forEach((button, at) => button.setAttribute('aria-checked', String(at === Number(erases))));
    };
    pens.forEach((button, at) => button.addEventListener('click', () => this.take(at === 1)));
    this.chooseColour = choices(page('colours'), COLOURS, (n) => String(n + 1), (button, value) => {
      button.style.setProperty('--c', value);
      button.append(make('span', { class: 'dot' }));
    }, (n) => {
      this.colour = n;
      this.take(false);
    });
    this.chooseWidth = choices(page('widths'), WIDTHS, (n) => ['[', '[ ]', ']'][n], (button, value) => {
      button.style.setProperty('--w', `${4 + value}px`);
      button.append(make('span', { class: 'stroke' }));
    }, (n) => (this.width = n));
    this.chooseColour(this.colour);
    this.chooseWidth(this.width);
    page('undo').addEventListener('click', undo);
    page('redo').addEventListener('click', redo);
    this.keys = {
      p: () => this.take(false), e: () => this.take(true),
      '[': () => this.chooseWidth(Math.max(0, this.width - 1)), ']': () => this.chooseWidth(Math.min(WIDTHS.length - 1, this.width + 1)),
      '+': () => view.step(1.25), '=': () => view.step(1.25), '-': () => view.step(0.8), 0: () => view.all(), Delete: clear,
    };
    this.held = { z: undo, y: redo, s: save };
    addEventListener('keydown', (event) => this.pressed(event, redo));
    this.rove(page('tools'));
  }

  // What a gesture that begins now is drawn with.
  pen() {
    const [, width] = WIDTHS[this.width];
    return this.erases ? { color: ERASER.color, w: width * ERASER.times } : { color: COLOURS[this.colour][1], w: width };
  }

  enable(undo, redo) {
    page('undo').setAttribute('aria-disabled', String(!undo));
    page('redo').setAttribute('aria-disabled', String(!redo));
  }

  pressed(event, redo) {
    if (event.target.closest?.('input, dialog') || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    let act = this.keys[key];
    if (event.ctrlKey || event.metaKey) act = key === 'z' && event.shiftKey ? redo : this.held[key];
    else if (/^[1-7]$/.test(key)) act = () => this.chooseColour(Number(key) - 1);
    if (!act) return;
    event.preventDefault();
    act();
  }

  // One stop for Tab, wherever in the toolbar it was left.
  rove(toolbar) {
    const buttons = Array.from(toolbar.querySelectorAll('button'));
    let at = 0;
    const stop = (n) => {
      buttons[at].tabIndex = -1;
      at = (n + buttons.length) % buttons.length;
      buttons[at].tabIndex = 0;
    };
    for (const button of buttons) button.tabIndex = -1;
    stop(0);
    toolbar.addEventListener('focusin', (event) => stop(buttons.indexOf(event.target)));
    toolbar.addEventListener('keydown', (event) => {
      const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      stop(next);
      buttons[at].focus();
    });
  }
}
