/** How the two pictures hang: painting alone, camera in a corner, wipe, side by side; mirror, full screen. */

import { byId, memory } from './dom.js';
import { fill } from './controls.js';

const VIEWS = ['alone', 'inset', 'wipe', 'pair'];
const CORNERS = ['tl', 'tr', 'br', 'bl'];
const CALM = 3000; // milliseconds without a hand on the mouse until the tools leave a full screen
const SHOWN = 1800; // milliseconds that a caption stays

export class Views {
  #stage = byId('stage');
  #canvas = byId('canvas');
  #painted = byId('painted');
  #input = byId('input');
  #second = byId('second');
  #wipe = byId('wipe');
  #mirror = byId('mirror');
  #caption = byId('caption');
  #idle = null;
  #fading = null;

  constructor() {
    for (const radio of byId('views').querySelectorAll('input')) {
      radio.addEventListener('change', () => this.set(radio.value));
    }
    this.set(memory.get('view', 'inset'));
    this.#corner(memory.get('corner', 'br'));
    this.#mirrored(memory.get('mirror', '') === 'yes');
    this.#mirror.addEventListener('click', () => this.toggleMirror());
    this.#wipe.addEventListener('input', () => this.#wiped());
    this.#wiped();
    for (const video of [this.#painted, this.#input]) video.addEventListener('resize', () => this.#shape());
    this.#movable();
    this.#fullScreen();
  }

  get stage() {
    return this.#stage;
  }

  set(view) {
    const known = VIEWS.includes(view) ? view : 'inset';
    this.#stage.dataset.view = known;
    byId('views').querySelector(`[value="${known}"]`).checked = true;
    memory.set('view', known);
    this.#second.tabIndex = known === 'inset' ? 0 : -1;
  }

  next() {
    this.set(VIEWS[(VIEWS.indexOf(this.#stage.dataset.view) + 1) % VIEWS.length]);
  }

  toggleMirror() {
    this.#mirrored(this.#mirror.getAttribute('aria-pressed') !== 'true');
  }

  /** Shows a word on the picture for a moment. */
  caption(text) {
    this.#caption.textContent = text;
    this.#caption.classList.add('shown');
    clearTimeout(this.#fading);
    this.#fading = setTimeout(() => this.#caption.classList.remove('shown'), SHOWN);
  }

  #mirrored(on) {
    this.#mirror.setAttribute('aria-pressed', on);
    this.#canvas.classList.toggle('mirrored', on);
    memory.set('mirror', on ? 'yes' : '');
  }

  #wiped() {
    this.#canvas.style.setProperty('--wipe', `${this.#wipe.value}%`);
    fill(this.#wipe);
  }

  /** The frame takes the picture's shape; a phone that is turned changes it. */
  #shape() {
    const { videoWidth: width, videoHeight: height } = this.#painted.videoWidth ? this.#painted : this.#input;
    if (width && height) this.#stage.style.setProperty('--aspect', width / height);
  }

  // ---- the camera's picture in a corner ----

  #corner(corner) {
    this.#canvas.dataset.corner = CORNERS.includes(corner) ? corner : 'br';
    memory.set('corner', this.#canvas.dataset.corner);
  }

  #movable() {
    const second = this.#second;
    let start = null;
    let dragged = false;
    second.addEventListener('pointerdown', (event) => {
      if (this.#stage.dataset.view !== 'inset' || event.button) return;
      [start, dragged] = [{ x: event.clientX, y: event.clientY }, false];
      second.setPointerCapture(event.pointerId);
    });
    second.addEventListener('pointermove', (event) => {
      if (!start) return;
      const [x, y] = [event.clientX - start.x, event.clientY - start.y];
      dragged ||= Math.hypot(x, y) > 6;
      if (dragged) second.style.translate = `${x}px ${y}px`;
    });
    const drop = (event) => {
      if (start && dragged) {
        const box = this.#canvas.getBoundingClientRect();
        const down = event.clientY > box.top + box.height / 2;
        const right = event.clientX > box.left + box.width / 2;
        this.#corner(`${down ? 'b' : 't'}${right ? 'r' : 'l'}`);
      }
      start = null;
      second.style.translate = '';
    };
    second.addEventListener('pointerup', drop);
    second.addEventListener('pointercancel', drop);
    second.addEventListener('click', () => {
      const now = CORNERS.indexOf(this.#canvas.dataset.corner);
      if (!dragged) this.#corner(CORNERS[(now + 1) % CORNERS.length]);
      dragged = false;
    });
  }

  // ---- full screen ----

  #fullScreen() {
    const stage = this.#stage;
    const possible = stage.requestFullscreen || stage.webkitRequestFullscreen || this.#painted.webkitEnterFullscreen;
    byId('full').hidden = !possible;
    byId('full').addEventListener('click', () => this.toggleFullScreen());
    for (const name of ['fullscreenchange', 'webkitfullscreenchange']) {
      document.addEventListener(name, () => this.#entered());
    }
    for (const name of ['pointermove', 'pointerdown', 'keydown']) stage.addEventListener(name, () => this.#stir());
  }

  toggleFullScreen() {
    const stage = this.#stage;
    if (document.fullscreenElement ?? document.webkitFullscreenElement) {
      (document.exitFullscreen ?? document.webkitExitFullscreen).call(document);
    } else if (stage.requestFullscreen) {
      stage.requestFullscreen({ navigationUI: 'hide' }).catch(() => {});
    } else if (stage.webkitRequestFullscreen) {
      stage.webkitRequestFullscreen();
    } else if (this.#painted.webkitEnterFullscreen && this.#painted.readyState > 0) {
      this.#painted.webkitEnterFullscreen(); // phones of Apple show a video full screen, nothing else
    }
  }

  #entered() {
    const on = Boolean(document.fullscreenElement ?? document.webkitFullscreenElement);
    this.#stage.classList.toggle('filling', on);
    byId('full').setAttribute('aria-pressed', on);
    this.#stir();
  }

  #stir() {
    this.#stage.classList.remove('resting');
    clearTimeout(this.#idle);
    if (this.#stage.classList.contains('filling')) {
      this.#idle = setTimeout(() => this.#stage.classList.add('resting'), CALM);
    }
  }
}
