/** The styles as tiles: one is chosen, arrows move between them. */

import { byId, make, say } from './dom.js';

export class Tiles {
  #api;
  #pick;
  #box = byId('tiles');
  #shown = '';
  #clicked = false;
  styles = [];
  chosen = '';
  /** What a stream starts with when nothing was chosen. */
  usual = '';
  training = { possible: true, hint: '' };
  /** Hears that a picture of a tile has come. */
  onpicture = () => {};

  /** `pick(name)` hears a choice. */
  constructor(api, pick) {
    this.#api = api;
    this.#pick = pick;
    this.#box.addEventListener('click', (event) => {
      const tile = event.target.closest('.tile');
      if (tile) this.#pick(tile.dataset.name);
    });
    this.#box.addEventListener('keydown', (event) => this.#move(event));
    this.#box.addEventListener('pointerdown', () => (this.#clicked = true));
    this.#box.addEventListener('focusout', (event) => !this.#box.contains(event.relatedTarget) && (this.#clicked = false));
  }

  /** Asks the server for the styles; resolves when the tiles stand, pictures follow. */
  async load() {
    const { styles, training = true, training_hint: hint = '', default: usual = '' } = await this.#api.json('/v1/styles');
    this.training = { possible: training, hint };
    this.usual = usual;
    this.styles = styles.filter((style) => !style.problem);
    const shown = JSON.stringify(this.styles);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const held = this.#box.contains(document.activeElement);
    this.#box.replaceChildren(...this.styles.map((style, index) => this.#tile(style, index)));
    this.mark(this.chosen || usual);
    if (held) this.#box.querySelector('[tabindex="0"]')?.focus();
  }

  title(name) {
    return this.styles.find((style) => style.name === name)?.title || name;
  }

  /** The address of a style's picture, for other parts of the page; '' where there is none. */
  picture(name) {
    return this.#box.querySelector(`[data-name="${CSS.escape(name)}"] img`)?.src ?? '';
  }

  /** Shows which style is painted, and which one is mixed in. */
  mark(name, second = '') {
    const moved = name !== this.chosen;
    this.chosen = name;
    for (const tile of this.#box.children) {
      const on = tile.dataset.name === name;
      tile.setAttribute('aria-checked', on);
      tile.tabIndex = on ? 0 : -1;
      tile.classList.toggle('second-style', tile.dataset.name === second && !on);
      if (on && moved) show(this.#box, tile);
    }
    if (!this.#box.querySelector('[tabindex="0"]') && this.#box.firstElementChild) this.#box.firstElementChild.tabIndex = 0;
  }

  /** The style `steps` further on, around the end. */
  next(steps, from = this.chosen) {
    const { length } = this.styles;
    const index = this.styles.findIndex((style) => style.name === from);
    return length ? this.styles[(Math.max(index, 0) + steps + length) % length].name : '';
  }

  #tile(style, index) {
    const picture = make('img', { alt: '', loading: 'lazy', decoding: 'async' });
    if (style.preview) this.#api.picture(style.preview).then((address) => this.#painted(picture, address), () => {});
    const who = [style.artist, style.year].filter(Boolean).join(', ');
    const tile = make(
      'button',
      { type: 'button', class: 'tile', role: 'radio', 'data-name': style.name, title: [style.title || style.name, who].filter(Boolean).join('\n'), tabindex: -1 },
      picture,
      make('span', { class: 'name', text: style.title || style.name }),
    );
    if (index < 9) tile.append(make('kbd', { text: String(index + 1), 'aria-hidden': 'true' }));
    return tile;
  }

  #painted(picture, address) {
    picture.src = address;
    this.onpicture();
  }

  #move(event) {
    const all = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 };
    const steps = this.#clicked && /Up|Down/.test(event.key) ? 0 : all[event.key]; // after a click these mean strength
    const tiles = [...this.#box.children];
    const at = tiles.indexOf(document.activeElement);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    let to = -1;
    if (steps) to = (at + steps + tiles.length) % tiles.length;
    else if (event.key === 'Home') to = 0;
    else if (event.key === 'End') to = tiles.length - 1;
    if (to < 0) return;
    event.preventDefault();
    event.stopPropagation();
    tiles[to].focus();
    this.#pick(tiles[to].dataset.name);
  }
}

/** Scrolls the strip of a phone, never the page. */
function show(box, tile) {
  const over = tile.offsetLeft + tile.offsetWidth - box.scrollLeft - box.clientWidth;
  const under = box.scrollLeft - tile.offsetLeft;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  if (over > 0) box.scrollBy({ left: over + 24, behavior: calm ? 'auto' : 'smooth' });
  else if (under > 0) box.scrollBy({ left: -under - 24, behavior: calm ? 'auto' : 'smooth' });
}
