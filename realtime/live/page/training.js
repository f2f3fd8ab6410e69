/** A style of one's own: drop or choose a picture, name it, watch it train. */

import { byId, make, say, sleep } from './dom.js';

const LARGEST = 4e6; // bytes that are sent as they are
const SIDE = 1600; // pixels that a larger picture is brought to: more teaches nothing
const READY = ['image/jpeg', 'image/png', 'image/webp'];
const PAUSE = 1; // seconds between two looks at a job
const FORGIVEN = 30; // looks in a row that may fail

export class Training {
  #api;
  #tiles;
  #changed;
  #dialog = byId('train');
  #picture = byId('train-picture');
  #name = byId('train-name');
  #file = null;
  #hint = '';

  /** `changed()` is called when there are new styles; resolves when they are shown. */
  constructor(api, tiles, changed) {
    this.#api = api;
    this.#tiles = tiles;
    this.#changed = changed;
    byId('train-open').addEventListener('click', () => this.#open());
    byId('train-cancel').addEventListener('click', () => this.#dialog.close());
    byId('train-file').addEventListener('change', (event) => this.#choose(event.target.files[0]));
    byId('train-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#go();
    });
    this.#dropping();
  }

  /** Whether this server can train, and if not, why: `{possible, hint}`. */
  set possible({ possible, hint }) {
    this.#hint = possible ? '' : hint || 'This server cannot train styles.';
  }

  #open() {
    say(byId('train-wrong'), this.#hint);
    byId('train-go').disabled = Boolean(this.#hint);
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  #choose(file) {
    if (!file) return;
    this.#open();
    if (!file.type.startsWith('image/')) return say(byId('train-wrong'), `${file.name} is not a picture.`);
    this.#file = file;
    if (this.#picture.src) URL.revokeObjectURL(this.#picture.src);
    this.#picture.src = URL.createObjectURL(file);
    this.#picture.hidden = false;
    say(byId('train-file-text'), 'Another picture');
    const stem = file.name.replace(/\.[^.]*$/, '').normalize('NFKD').replace(/[^A-Za-z0-9]+/g, '-').replace(/^-+|-+$/g, '');
    this.#name.value = this.#free(stem.toLowerCase().slice(0, 32) || 'my-style');
    this.#name.select();
  }

  /** The name, with a number where it is taken. */
  #free(name) {
    const taken = (one) => this.#tiles.styles.some((style) => style.name === one);
    let free = name;
    for (let number = 2; taken(free); number++) free = `${name}-${number}`;
    return free;
  }

  async #go() {
    if (!this.#file) return say(byId('train-wrong'), 'Choose a picture first.');
    const [name, address] = [this.#name.value, this.#picture.src];
    byId('train-go').disabled = true;
    try {
      const body = await prepared(this.#file);
      const job = await this.#api.json(`/v1/styles?name=${encodeURIComponent(name)}`, { method: 'POST', body, type: body.type, patience: 120 });
      this.#dialog.close();
      this.#follow(job, name, address);
      this.#file = null;
      this.#picture.removeAttribute('src');
      this.#picture.hidden = true;
      byId('train-file').value = '';
      say(byId('train-file-text'), 'Choose a picture');
    } catch (error) {
      say(byId('train-wrong'), [error.message, error.hint].filter(Boolean).join(' '));
    } finally {
      byId('train-go').disabled = false;
    }
  }

  /** A row with the job's progress, until it is over. */
  async #follow(job, name, address) {
    const [bar, text] = [make('progress', { max: 1, 'aria-label': `Training of ${name}` }), make('span', { class: 'job-text', role: 'status' })];
    const stop = make('button', { type: 'button', text: 'Stop', title: 'Keeps the best so far' });
    const row = make('div', { class: 'job' }, make('img', { src: address, alt: '' }), make('div', {}, make('strong', { text: name }), bar, text), stop);
    byId('jobs').append(row);
    const path = `/v1/jobs/${encodeURIComponent(job.id)}`;
    stop.addEventListener('click', () => this.#api.call(path, { method: 'DELETE' }).catch((error) => say(text, error.message)));
    let failures = 0;
    while (['waiting', 'running'].includes(job.state) && failures < FORGIVEN) {
      if (job.progress > 0) bar.value = job.progress;
      say(text, job.message || (job.state === 'waiting' ? 'waits for its turn' : 'training'));
      await sleep(PAUSE);
      try {
        job = await this.#api.json(path);
        failures = 0;
        if (!this.#tiles.styles.some((style) => style.name === name)) await this.#changed();
      } catch (error) {
        failures = error.status === 404 ? FORGIVEN : failures + 1;
        job = { ...job, error: error.message, hint: error.hint };
      }
    }
    stop.remove();
    bar.remove();
    await this.#changed().catch(() => {});
    const good = job.state === 'done';
    say(text, good ? 'is among the styles' : [job.error || 'was not finished', job.hint].filter(Boolean).join(' '));
    text.classList.toggle('wrong', !good);
    const close = make('button', { type: 'button', text: 'Close' });
    close.addEventListener('click', () => {
      URL.revokeObjectURL(address);
      row.remove();
    });
    row.append(close);
  }

  #dropping() {
    const drop = byId('drop');
    const holdsFile = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
    window.addEventListener('dragenter', (event) => holdsFile(event) && (drop.hidden = false));
    window.addEventListener('dragover', (event) => holdsFile(event) && event.preventDefault());
    window.addEventListener('dragleave', (event) => !event.relatedTarget && (drop.hidden = true));
    window.addEventListener('drop', (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      drop.hidden = true;
      this.#choose(event.dataTransfer.files[0]);
    });
  }
}

/** The picture as it is, or smaller as JPEG where it is large or of a kind that only the browser can read. */
async function prepared(file) {
  if (file.size <= LARGEST && READY.includes(file.type)) return file;
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return file; // the server may know it
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  const brush = canvas.getContext('2d');
  brush.fillStyle = '#fff'; // under what is transparent
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob((blob) => done(blob ?? file), 'image/jpeg', 0.92));
}
