/** The page: puts the parts together. */

import { Api } from './api.js';
import { Camera } from './camera.js';
import { Controls } from './controls.js';
import { byId, say } from './dom.js';
import { Keeper } from './keeper.js';
import { Keys } from './keys.js';
import { Notice } from './notice.js';
import { Numbers } from './numbers.js';
import { keepSize, publish, watch } from './peer.js';
import { Recorder } from './recorder.js';
import { Steering } from './steering.js';
import { Tiles } from './tiles.js';
import { Training } from './training.js';
import { Views } from './views.js';

const STATUS = { idle: 'Not painting', connecting: 'Connecting …', live: 'Live', waiting: 'Reconnecting …', stopped: 'Not painting' };

class App {
  #api = new Api();
  #query = new URL(location.href).searchParams;
  /** A stream that exists already and is only watched and steered; '' paints the camera. */
  #watched = this.#query.get('stream') ?? '';
  #notice = new Notice();
  #steering = new Steering(this.#api);
  #tiles = new Tiles(this.#api, (name) => this.#controls.pick(name));
  #controls = new Controls(this.#steering, this.#tiles);
  #views = new Views();
  #camera = new Camera();
  #numbers = new Numbers(this.#steering);
  #recorder = new Recorder(() => this.#steering.state?.style, this.#notice);
  #training = new Training(this.#api, this.#tiles, () => this.#restock());
  #keeper = new Keeper(() => this.#open(), (state, detail) => this.#report(state, detail));
  #painted = byId('painted');
  #lock = null;
  /** The camera should run but cannot; it starts when it comes back or is allowed. */
  #wanting = false;

  constructor() {
    this.#wire();
    this.#keys();
    this.#begin();
  }

  #wire() {
    byId('start').addEventListener('click', () => this.#start());
    byId('stop').addEventListener('click', () => this.#stop());
    byId('sound').addEventListener('click', () => this.#hear(this.#painted.muted));
    byId('copy').addEventListener('click', () => this.#copy());
    this.#painted.addEventListener('playing', () => this.#playing());
    this.#camera.onchoice = (sound) => this.#rechoose(sound);
    this.#camera.onlost = () => this.#lost();
    this.#camera.onback = () => this.#wanting && this.#start();
    this.#controls.onshow = (text) => {
      this.#views.caption(text);
      this.#notice.whisper(text);
    };
    this.#tiles.onpicture = () => this.#illustrate();
    this.#steering.addEventListener('state', () => this.#illustrate());
    this.#steering.addEventListener('trouble', (event) => this.#notice.show(event.detail.message, { hint: event.detail.hint, topic: 'control', seconds: 8, brief: true }));
    document.addEventListener('visibilitychange', () => !document.hidden && this.#stayAwake());
  }

  #keys() {
    const controls = this.#controls;
    const digits = Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) => [String(number), () => controls.number(number)]));
    new Keys({
      ...digits,
      ' ': () => controls.toggleBypass(),
      arrowleft: () => controls.step(-1),
      arrowright: () => controls.step(1),
      arrowup: () => controls.nudgeStrength(0.05),
      arrowdown: () => controls.nudgeStrength(-0.05),
      v: () => this.#views.next(),
      f: () => this.#views.toggleFullScreen(),
      m: () => this.#views.toggleMirror(),
      r: () => this.#recorder.toggle(),
      s: () => this.#recorder.still(),
    });
  }

  async #begin() {
    if (this.#watched) {
      byId('camera-section').hidden = true;
      byId('invitation').hidden = true;
      this.#views.stage.classList.add('watching');
      this.#keeper.start();
    } else {
      const obstacle = Camera.obstacle();
      if (obstacle) this.#refuse(obstacle);
      else if (this.#query.has('start')) this.#start();
    }
    await this.#restock().catch((error) => this.#stopped(error));
  }

  /** Loads the styles. */
  async #restock() {
    await this.#tiles.load();
    this.#controls.restock();
    this.#training.possible = this.#tiles.training;
    this.#illustrate();
  }

  /** Before the camera runs the frame shows the style on the built-in landscape. */
  #illustrate() {
    const picture = this.#tiles.picture(this.#tiles.chosen || this.#tiles.next(0));
    if (picture) byId('poster').src = picture;
  }

  // ---- the camera ----

  async #start() {
    if (byId('start').disabled) return;
    byId('start').disabled = true;
    this.#wanting = false;
    this.#notice.clear();
    try {
      byId('input').srcObject = await this.#camera.open();
      this.#keeper.start();
      this.#stayAwake();
      byId('start').disabled = false;
    } catch (error) {
      byId('start').disabled = false;
      this.#refuse(error);
    }
  }

  #stop() {
    this.#wanting = false;
    this.#keeper.stop();
    this.#camera.close();
    byId('input').srcObject = null;
    this.#report('idle');
    byId('start').focus();
  }

  #refuse(error) {
    this.#notice.show(error.message, { hint: error.hint, topic: 'camera', action: error.again ? ['Try again', () => this.#start()] : null });
    if (error.again === false) byId('start').disabled = true;
    this.#wanting = error.again !== false;
    this.#report(this.#keeper.running ? 'waiting' : 'idle');
  }

  #lost() {
    this.#camera.close();
    this.#keeper.stop();
    this.#report('idle');
    this.#wanting = true;
    this.#notice.show('The camera went away.', { hint: 'It goes on when the camera is back.', topic: 'camera', action: ['Try again', () => this.#start()] });
  }

  /** Another camera or size takes the place of the track that runs; sound needs a new connection. */
  async #rechoose(sound) {
    if (!this.#camera.media) return this.#wanting && this.#start();
    try {
      const media = await this.#camera.open();
      byId('input').srcObject = media;
      const sender = this.#keeper.session?.sender;
      if (sound || !sender) return this.#keeper.again();
      await sender.replaceTrack(media.getVideoTracks()[0]);
      const voice = this.#keeper.session.pc.getSenders().find((one) => one.track?.kind === 'audio');
      await voice?.replaceTrack(media.getAudioTracks()[0] ?? null);
      await keepSize(sender);
    } catch (error) {
      byId('input').srcObject = null;
      this.#keeper.stop();
      this.#refuse(error);
    }
  }

  async #stayAwake() {
    if (!this.#keeper.running || this.#lock) return;
    this.#lock = await navigator.wakeLock?.request('screen').catch(() => null);
    this.#lock?.addEventListener('release', () => (this.#lock = null));
  }

  // ---- the connection ----

  async #open() {
    const session = this.#watched ? await watch(this.#api, this.#watched) : await this.#publish();
    this.#steering.attach(session, !this.#watched);
    return session;
  }

  /** With the settings of before; where the server no longer takes them (a style has gone), with its own. */
  async #publish() {
    const settings = this.#steering.settings();
    try {
      return await publish(this.#api, this.#camera.media, settings);
    } catch (error) {
      if (error.status !== 400 || !settings) throw error;
      this.#steering.wanted = {};
      return publish(this.#api, this.#camera.media, this.#steering.settings());
    }
  }

  #report(state, detail) {
    byId('status').dataset.state = this.#views.stage.dataset.state = state;
    say(byId('status-text'), STATUS[state]);
    byId('invitation').hidden = Boolean(this.#watched) || !['idle', 'stopped'].includes(state);
    byId('stop').hidden = Boolean(this.#watched) || ['idle', 'stopped'].includes(state);
    if (state === 'live') this.#live(detail);
    else if (state !== 'connecting') this.#dark();
    if (state === 'waiting' && detail) this.#waiting(detail);
    else if (state === 'stopped' && detail) this.#stopped(detail);
  }

  #live(session) {
    this.#notice.clear('connection');
    this.#painted.srcObject = session.stream;
    this.#painted.play().catch(() => {});
    this.#numbers.watch(session);
    byId('share').hidden = false;
    byId('player-address').value = new URL(`/${encodeURIComponent(session.id)}`, location.origin).href;
    this.#notice.whisper('The painting is live');
  }

  #dark() {
    this.#steering.detach();
    this.#numbers.stop();
    this.#recorder.ready = false;
    byId('sound').hidden = true;
    byId('share').hidden = true;
    this.#views.stage.classList.remove('playing');
  }

  #playing() {
    if (!this.#keeper.session) return;
    this.#views.stage.classList.add('playing');
    this.#recorder.ready = true;
    for (const track of this.#painted.srcObject.getAudioTracks()) {
      const audible = () => (byId('sound').hidden = track.muted);
      track.onmute = track.onunmute = audible;
      audible();
    }
  }

  #waiting({ error, seconds }) {
    const full = error.status === 503;
    const hint = full ? 'As soon as somebody leaves there is one for you.' : error.hint;
    this.#notice.show(error.message || 'The connection was lost.', { hint, seconds, topic: 'connection', action: ['Now', () => this.#keeper.nudge()] });
  }

  #stopped(error) {
    if (error.status === 401) {
      const message = this.#api.hasToken ? 'That token is not the right one.' : error.message;
      this.#notice.askToken(message, error.hint, (token) => {
        this.#api.token = token;
        this.#restock().then(() => (this.#camera.media || this.#watched) && this.#keeper.start(), (problem) => this.#stopped(problem));
      });
    } else {
      this.#notice.show(error.message, { hint: error.hint, topic: 'connection', action: ['Try again', () => this.#again()] });
    }
  }

  #again() {
    this.#restock().catch((error) => this.#stopped(error));
    if (this.#camera.media || this.#watched) this.#keeper.start();
  }

  // ---- small things ----

  #hear(on) {
    this.#painted.muted = !on;
    byId('sound').setAttribute('aria-pressed', on);
  }

  /** The address goes to the clipboard with the token: OBS needs it. */
  async #copy() {
    const address = this.#api.address(new URL(byId('player-address').value).pathname);
    try {
      await navigator.clipboard.writeText(address);
      say(byId('copy'), 'Copied');
      setTimeout(() => say(byId('copy'), 'Copy'), 2000);
    } catch {
      byId('player-address').value = address;
      byId('player-address').select();
    }
  }
}

new App();
