/** The controls of the paint: what is moved here goes to the stream, what the stream is set to is shown here. */

import { byId, make, memory, say } from './dom.js';

const HOLD = 500; // milliseconds that a control that was just moved is not moved by a state
const BLEND = 0.15; // seconds of the fade while the mix slider is dragged
const percent = (value) => `${Math.round(100 * value)} %`;
const KNOBS = { strength: percent, steadiness: percent, transition: (value) => `${value.toFixed(1)} s` };

export class Controls {
  #steering;
  #tiles;
  #held = new Map();
  #later = null;
  #first = '';
  #second = byId('second-style');
  #mix = byId('mix');
  #bypass = byId('bypass');
  #rotate = byId('rotate');
  #shuffle = byId('shuffle');
  #turn = null;
  #known = '';
  /** Knobs whose value is known: only a stream knows what it starts with. */
  #told = new Set();
  /** Hears `(text, polite)` when something is worth saying on the picture. */
  onshow = () => {};

  constructor(steering, tiles) {
    this.#steering = steering;
    this.#tiles = tiles;
    for (const name of Object.keys(KNOBS)) {
      byId(name).addEventListener('input', () => this.#turned(name));
      this.#print(name);
    }
    this.#mix.addEventListener('input', () => this.#mixed(BLEND));
    this.#second.addEventListener('change', () => this.#paired());
    this.#bypass.addEventListener('click', () => this.toggleBypass());
    this.#rotate.value = memory.get('rotate', '0');
    if (!this.#rotate.value) this.#rotate.value = '0';
    this.#shuffle.checked = memory.get('shuffle', '') === 'yes';
    for (const control of [this.#rotate, this.#shuffle]) control.addEventListener('change', () => this.#wind());
    this.#wind();
    steering.addEventListener('state', (event) => this.#show(event.detail));
  }

  get bypassed() {
    return this.#bypass.getAttribute('aria-pressed') === 'true';
  }

  /** Cross-fades to a style; a mix keeps its second style and its weights. */
  pick(name) {
    if (!name) return;
    if (this.bypassed) this.#press(false);
    if (this.#second.value && this.#second.value !== name) {
      this.#first = name;
      this.#mixed(null);
    } else {
      this.#pair('');
      this.#first = name;
      this.#steering.set({ style: name, bypass: false });
    }
    this.#hold('style');
    this.#mark();
    this.onshow(this.#tiles.title(name));
    this.#wind();
  }

  step(steps) {
    this.pick(this.#tiles.next(steps, this.#first));
  }

  number(number) {
    this.pick(this.#tiles.styles[number - 1]?.name);
  }

  toggleBypass() {
    const bypass = !this.bypassed;
    this.#press(bypass);
    this.#hold('bypass');
    this.#steering.set({ bypass });
    this.onshow(bypass ? 'Bypass' : this.#tiles.title(this.#first));
  }

  nudgeStrength(delta) {
    const strength = byId('strength');
    strength.value = Number(strength.value) + delta;
    this.#turned('strength');
    this.onshow(`Strength ${percent(Number(strength.value))}`);
  }

  /** The list of styles may have changed. */
  restock() {
    const names = this.#tiles.styles.map((style) => style.name);
    if (this.#known === names.join()) return;
    this.#known = names.join();
    this.#first ||= this.#tiles.usual;
    const chosen = this.#second.value;
    this.#second.replaceChildren(make('option', { value: '', text: 'nothing' }), ...names.map((name) => make('option', { value: name, text: this.#tiles.title(name) })));
    this.#second.value = names.includes(chosen) ? chosen : '';
    this.#mark();
  }

  // ---- from here to the stream ----

  #turned(name) {
    this.#told.add(name);
    this.#print(name);
    this.#hold(name);
    this.#steering.set({ [name]: Number(byId(name).value) });
  }

  #mixed(seconds) {
    const t = Number(this.#mix.value);
    const mix = { [this.#first]: 1 - t, [this.#second.value]: t };
    this.#hold('style');
    this.#print('mix');
    if (seconds === null) this.#steering.set({ mix });
    else this.#steering.blend(mix, seconds);
  }

  #paired() {
    const second = this.#second.value;
    if (second === this.#first) return this.#pair('');
    this.#mix.value = second ? 0.5 : 0;
    this.#pair(second);
    if (second) this.#mixed(null);
    else this.#steering.set({ style: this.#first });
    this.#hold('style');
    this.#mark();
  }

  // ---- from the stream to here ----

  #show(state) {
    for (const name of Object.keys(KNOBS)) {
      if (this.#isHeld(name)) continue;
      byId(name).value = state[name];
      this.#told.add(name);
      this.#print(name);
    }
    if (!this.#isHeld('bypass')) this.#press(state.bypass);
    if (!this.#isHeld('style')) this.#showStyle(Object.entries(state.mix));
    this.#mark();
  }

  #showStyle(mix) {
    const before = this.#first;
    const [a, b] = [this.#first, this.#second.value].map((name) => weightOf(mix, name));
    if (mix.length === 1 && b !== null && this.#second.value) this.#mix.value = 1;
    else if (mix.length === 1) {
      if (a !== null && this.#second.value) this.#mix.value = 0;
      else this.#first = mix[0][0];
    } else {
      const [heaviest, other] = [...mix].sort((one, two) => two[1] - one[1]).map(([name]) => name);
      if (a === null || (b === null && mix.length > 1)) {
        if (a === null) this.#first = heaviest;
        this.#pair(this.#first === heaviest ? other : heaviest);
      }
      const [first, second] = [this.#first, this.#second.value].map((name) => weightOf(mix, name) ?? 0);
      if (first + second > 0) this.#mix.value = second / (first + second);
    }
    this.#print('mix');
    if (before && before !== this.#first) this.onshow(this.#tiles.title(this.#first));
  }

  #mark() {
    const second = this.#second.value;
    this.#tiles.mark(this.#first, second);
    byId('mixer').hidden = !second;
    byId('mix-a').src = this.#tiles.picture(this.#first) || EMPTY;
    byId('mix-b').src = this.#tiles.picture(second) || EMPTY;
    const titles = [this.#first, second].filter(Boolean).map((name) => this.#tiles.title(name));
    say(byId('now'), this.bypassed ? 'bypass' : titles.join(' + '));
  }

  #pair(second) {
    this.#second.value = second;
    if (this.#second.value !== second) this.#second.value = ''; // a style that is not in the list
    if (!second) this.#mix.value = 0;
  }

  #press(on) {
    this.#bypass.setAttribute('aria-pressed', on);
    this.#bypass.closest('.stage').classList.toggle('bypassed', on);
  }

  #print(name) {
    if (name === 'mix') {
      const titles = [this.#first, this.#second.value].map((style) => this.#tiles.title(style));
      const t = Number(this.#mix.value);
      this.#mix.setAttribute('aria-valuetext', `${percent(1 - t)} ${titles[0]}, ${percent(t)} ${titles[1]}`);
      return fill(this.#mix);
    }
    const input = byId(name);
    const text = this.#told.has(name) ? KNOBS[name](Number(input.value)) : '–';
    say(byId(`${name}-value`), text);
    input.setAttribute('aria-valuetext', text);
    fill(input);
  }

  #hold(name) {
    this.#held.set(name, performance.now() + HOLD);
    clearTimeout(this.#later);
    this.#later = setTimeout(() => this.#steering.state && this.#show(this.#steering.state), HOLD + 50);
  }

  #isHeld(name) {
    return (this.#held.get(name) ?? 0) > performance.now();
  }

  // ---- auto-rotate ----

  #wind() {
    clearTimeout(this.#turn);
    memory.set('rotate', this.#rotate.value);
    memory.set('shuffle', this.#shuffle.checked ? 'yes' : '');
    const seconds = Number(this.#rotate.value);
    if (seconds) this.#turn = setTimeout(() => this.#rotated(), 1000 * seconds);
  }

  #rotated() {
    const count = this.#tiles.styles.length;
    const steps = this.#shuffle.checked && count > 2 ? 1 + Math.floor(Math.random() * (count - 1)) : 1;
    if (count && this.#steering.state && !this.bypassed) this.step(steps);
    else this.#wind();
  }
}

const EMPTY = 'data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==';

function weightOf(mix, name) {
  return mix.find(([style]) => style === name)?.[1] ?? null;
}

/** How far a slider's track is filled; a browser cannot say it in CSS alone. */
export function fill(input) {
  const [low, high] = [Number(input.min), Number(input.max)];
  input.style.setProperty('--filled', `${(100 * (input.value - low)) / (high - low)}%`);
}
