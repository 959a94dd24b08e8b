// hand: pointers become strokes: one a frame, however fast they report. One finger draws, two move the view.

import { random } from './person.js';

export class Hand {
  // `pen()` gives {color, w}; `people` are told where the pointer is.
  constructor(canvas, { drawing, view, people, pen }) {
    Object.assign(this, { canvas, drawing, view, people, pen });
    this.pointers = new Map(); // those that draw
    this.fingers = new Map();  // all that touch
    canvas.addEventListener('pointerdown', (event) => this.down(event));
    canvas.addEventListener('pointermove', (event) => this.moved(event));
    for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, (event) => this.lift(event));
    canvas.addEventListener('pointerleave', () => people.point(null));
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  }

  down(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === 'touch') this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.fingers.size > 1) return this.takeBack();
    this.pointers.set(event.pointerId, { at: this.place(event), next: null, moved: false, pen: { ...this.pen(), g: random() } });
  }

  // The second finger comes: what the first one drew was no drawing.
  takeBack() {
    for (const { moved, pen } of this.pointers.values()) if (moved && this.drawing.done.at(-1) === pen.g) this.drawing.undo();
    this.pointers.clear();
  }

  moved(event) {
    this.people.point(this.place(event));
    if (this.fingers.size > 1) return this.moveView(event);
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    if (!pointer.next) requestAnimationFrame(() => this.flush());
    pointer.next = this.place(event);
    pointer.moved = true;
  }

  moveView(event) {
    const finger = this.fingers.get(event.pointerId);
    if (!finger) return;
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)[1];
    const apart = (one) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
    const now = { x: event.clientX, y: event.clientY };
    this.view.zoomBy(apart(now) / apart(finger), (now.x + other.x) / 2, (now.y + other.y) / 2);
    this.view.move((now.x - finger.x) / 2, (now.y - finger.y) / 2);
    this.fingers.set(event.pointerId, now);
  }

  flush() {
    for (const pointer of this.pointers.values()) {
      if (pointer.next) this.drawing.draw(pointer.at, pointer.next, pointer.pen);
      pointer.at = pointer.next ?? pointer.at;
      pointer.next = null;
    }
  }

  lift(event) {
    this.fingers.delete(event.pointerId);
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    this.flush();
    if (!pointer.moved && event.type === 'pointerup') this.drawing.draw(pointer.at, pointer.at, pointer.pen); // a dot
    this.pointers.delete(event.pointerId);
  }
}
