// page: how our pages make and find elements. Text from people becomes text: nothing here, and nothing else on our pages, reads
// markup (the Content-Security-Policy asks the browser to hold us to it).

export const page = (id) => document.getElementById(id);

// An element with attributes and children; strings among the children become text.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Names in a sentence, "Ada, Bob and 2 others", as texts and elements: each keeps its own direction of writing to itself.
const list = new Intl.ListFormat('en-GB');
export function listed(names, max = names.length) {
  const first = names.slice(0, max);
  const others = names.length - first.length;
  const all = others > 0 ? [...first, `${others} ${others === 1 ? 'other' : 'others'}`] : first;
  let at = 0;
  return list.formatToParts(all).map(({ type, value }) => (type === 'element' && at++ < first.length ? make('bdi', {}, value) : value));
}

// The facts of a link, as the rows of a `dl`.
export function showFacts(list, facts) {
  list.replaceChildren(...facts.flatMap(([name, text]) => [make('dt', {}, name), make('dd', {}, text)]));
}

// A button that opens and closes what it controls. Escape closes it, and so does a click elsewhere.
export function disclosure(button, panel, changed = () => {}) {
  const set = (open) => {
    if ((button.getAttribute('aria-expanded') === 'true') === open) return;
    button.setAttribute('aria-expanded', String(open));
    panel.classList.toggle('open', open);
    changed(open);
  };
  button.addEventListener('click', () => set(button.getAttribute('aria-expanded') !== 'true'));
  addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || button.getAttribute('aria-expanded') !== 'true') return;
    set(false);
    button.focus();
  });
  addEventListener('pointerdown', (event) => {
    if (!panel.contains(event.target) && !button.contains(event.target)) set(false);
  });
  return set;
}

// The name in the address behind `#`, as a room: lower case, words of any script joined by hyphens; `otherwise` without one.
export function roomInAddress(otherwise) {
  let text = location.hash.slice(1);
  try {
    text = decodeURIComponent(text);
  } catch {}
  return roomOf(text) || otherwise;
}

export function roomOf(text) {
  return Array.from(text.normalize('NFC').toLowerCase().replace(/[^\p{L}\p{M}\p{N}_-]+/gu, '-').replace(/^[-\p{M}]+|-+$/gu, '')).slice(0, 40).join('');
}

// Says at a field what is wrong with it, until it is changed.
export function complain(field, text) {
  field.setCustomValidity(text);
  field.reportValidity();
  field.addEventListener('input', () => field.setCustomValidity(''), { once: true });
}

// Copies the page's address, and says on the button that it did.
export async function copyAddress(button, label) {
  let done = true;
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    // Pages over plain HTTP have no clipboard, except by this old way.
    const field = make('textarea', { class: 'hidden' });
    field.value = location.href;
    document.body.append(field);
    field.select();
    done = document.execCommand('copy');
    field.remove();
    button.focus();
  }
  label.textContent = done ? 'Copied' : 'Copy it from the address bar';
  clearTimeout(button.timer);
  button.timer = setTimeout(() => (label.textContent = 'Copy link'), 2500);
}
