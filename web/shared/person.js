// person: the name that somebody goes by on our pages, kept in the browser, and how names from strangers are shown.

const NAME_CHARS_MAX = 32;
const KEY = 'sennit.name';

const ADJECTIVES = ['Amber', 'Brisk', 'Calm', 'Clever', 'Daring', 'Gentle', 'Happy', 'Keen', 'Lucky', 'Quiet', 'Swift', 'Wise'];
const ANIMALS = ['Badger', 'Crane', 'Dolphin', 'Falcon', 'Fox', 'Heron', 'Lynx', 'Otter', 'Panda', 'Raven', 'Seal', 'Wolf'];

// Control characters, and those that turn the direction of the text around them.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

// 16 characters that nobody can guess. (crypto.randomUUID is missing from pages that come over plain HTTP from another machine.)
export function random() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => (byte % 36).toString(36)).join('');
}

// One line, without what would disturb its neighbours; empty if nothing is left.
export function clean(text, chars = NAME_CHARS_MAX) {
  if (typeof text !== 'string') return '';
  return Array.from(text.slice(0, 8 * chars).replace(/\s+/g, ' ').replace(HIDDEN, '').trim()).slice(0, chars).join('');
}

// A hue for a name: the same on every page.
export function hue(name) {
  let hash = 2166136261;
  for (const char of name) hash = Math.imul(hash ^ char.codePointAt(0), 16777619);
  return (hash >>> 0) % 360;
}

// What a reader takes for one letter may be several characters, like a family of four as one emoji.
const letters = Intl.Segmenter ? new Intl.Segmenter() : null;
function firstLetter(word) {
  return letters ? letters.segment(word)[Symbol.iterator]().next().value?.segment ?? '' : Array.from(word)[0] ?? '';
}

export function initials(name) {
  const words = name.split(' ').filter(Boolean);
  return (words.length > 1 ? [words[0], words[words.length - 1]] : words).map(firstLetter).join('').toUpperCase();
}

const pick = (list) => list[crypto.getRandomValues(new Uint8Array(1))[0] % list.length];
export const suggestion = () => `${pick(ADJECTIVES)} ${pick(ANIMALS)}`;

// A browser may refuse to keep anything: then a name lasts as long as the page.
export function kept(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {}
}

export const keptName = () => clean(kept(KEY) ?? '');
export const keepName = (name) => keep(KEY, name);
