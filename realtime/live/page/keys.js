/** Keys for everything that is done while painting; they can be turned off (a screen reader needs its own). */

import { byId, memory } from './dom.js';

const OWN_KEYS = 'input:not([type="checkbox"]):not([type="radio"]), select, textarea, [contenteditable]';

export class Keys {
  #actions;
  #on = byId('keys-on');
  #byPointer = false;
  #taken = '';

  /** `actions`: functions by key, in lower case. */
  constructor(actions) {
    this.#actions = actions;
    this.#on.checked = memory.get('keys', 'on') === 'on';
    this.#on.addEventListener('change', () => memory.set('keys', this.#on.checked ? 'on' : 'off'));
    byId('keys-button').addEventListener('click', () => byId('keys').showModal());
    document.addEventListener('pointerdown', () => (this.#byPointer = true), true);
    document.addEventListener('keydown', (event) => this.#down(event));
    document.addEventListener('keyup', (event) => this.#up(event));
  }

  #down(event) {
    if (event.key === 'Tab') this.#byPointer = false;
    this.#taken = '';
    if (!this.#on.checked || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector('dialog[open]')) return;
    const key = event.key.toLowerCase();
    const action = this.#actions[key];
    if (!action || this.#belongs(event.target, key)) return;
    if (event.repeat && !key.startsWith('arrow')) return event.preventDefault();
    event.preventDefault();
    this.#taken = event.key;
    action();
  }

  /** Some browsers press a button when the key is let go. */
  #up(event) {
    if (event.key === this.#taken) event.preventDefault();
  }

  /**
   * Whether the key is the focused control's own: a slider keeps its arrows, a button its space bar, unless a click
   * left the focus there, after which the space bar is expected to work for the picture.
   */
  #belongs(target, key) {
    if (target.matches('input[type="range"]')) return key.startsWith('arrow') || (key === ' ' && !this.#byPointer);
    if (target.matches(OWN_KEYS)) return true;
    const presses = target.matches('button, summary, a, input');
    if (key === ' ') return presses && !this.#byPointer && target.getAttribute('aria-checked') !== 'true';
    return key.startsWith('arrow') && target.matches('input[type="radio"]') && !this.#byPointer;
  }
}
