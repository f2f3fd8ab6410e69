/** Messages: one at a time beside the picture, and read out. */

import { byId, make, say } from './dom.js';

export class Notice {
  #box = byId('notice');
  #text = byId('notice-text');
  #action = byId('notice-action');
  #form = byId('token-form');
  #act = null;
  #timer = null;
  #topic = '';

  constructor() {
    this.#action.addEventListener('click', () => {
      const act = this.#act;
      this.clear();
      act?.();
    });
    byId('notice-close').addEventListener('click', () => this.clear());
  }

  /**
   * Shows a message.  `topic`: what it is about, so that it can be cleared when that is settled;
   * `action`: [label, function]; `seconds`: counts down, or how long it stays where `brief`.
   */
  show(message, { hint = '', topic = '', action = null, seconds = 0, brief = false, urgent = true } = {}) {
    clearInterval(this.#timer);
    this.#topic = topic;
    this.#act = action?.[1] ?? null;
    this.#action.hidden = !action;
    this.#form.hidden = true;
    this.#box.hidden = false;
    this.#box.classList.toggle('calm', !urgent);
    if (action) say(this.#action, action[0]);
    const countdown = make('span', { class: 'countdown', 'aria-hidden': 'true' });
    this.#text.replaceChildren(make('strong', { text: message }), ...(hint ? [' ', make('span', { text: hint })] : []), ' ', countdown);
    say(byId(urgent ? 'live-urgent' : 'live-polite'), `${message} ${hint}`);
    if (brief) this.#timer = setInterval(() => this.clear(topic), 1000 * seconds);
    else if (seconds) this.#count(countdown, performance.now() + 1000 * seconds);
  }

  /** Asks for the token; `use(token)` hears it. */
  askToken(message, hint, use) {
    this.show(message, { hint, topic: 'token' });
    this.#form.hidden = false;
    byId('token').focus();
    this.#form.onsubmit = (event) => {
      event.preventDefault();
      const token = byId('token').value.trim();
      byId('token').value = '';
      this.clear();
      if (token) use(token);
    };
  }

  /** Takes the message away, where it is about this topic. */
  clear(topic = this.#topic) {
    if (topic !== this.#topic) return;
    clearInterval(this.#timer);
    this.#box.hidden = true;
    this.#topic = '';
    say(byId('live-urgent'), '');
  }

  /** Says something to those who listen only. */
  whisper(text) {
    say(byId('live-polite'), text);
  }

  #count(element, end) {
    const tick = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      say(element, left > 0 ? `Trying again in ${left} s.` : 'Trying again …');
    };
    tick();
    this.#timer = setInterval(tick, 250);
  }
}
