/**
 * Says to the stream what to be set to, and hears what it is set to.
 *
 * Changes go over the data channel where there is one, else by PATCH; states come over the channel, else as
 * server-sent events.  A state is only ever shown, never sent back, so two controllers cannot echo each other;
 * one with an older revision than the last is dropped.
 */

const SPACING = 40; // milliseconds between two changes of a slider that is dragged
const FALLBACK = 4; // seconds until events take the place of a channel that does not open
const KEPT = ['mix', 'strength', 'steadiness', 'transition', 'bypass'];

export class Steering extends EventTarget {
  #api;
  #channel = null;
  #events = null;
  #id = '';
  #own = false;
  #fresh = false;
  #revision = -1;
  #pending = {};
  #timer = null;
  #last = 0;
  #fallback = null;
  #asked = '{}';

  /** What the stream should be after a reconnect: what was chosen here or heard from it. */
  wanted = {};
  state = null;

  constructor(api) {
    super();
    this.#api = api;
  }

  /** What a new stream shall be set to from its first frame on, or nothing. */
  settings() {
    this.#asked = JSON.stringify(this.wanted);
    return this.#asked === '{}' ? undefined : { ...this.wanted };
  }

  /** Starts to steer; `own`: the stream is new and ours, and set to `settings()`. */
  attach({ id, channel }, own) {
    this.detach();
    [this.#id, this.#channel, this.#own] = [id, channel, own];
    [this.#fresh, this.#revision] = [true, -1];
    if (!channel) return this.#listen();
    channel.addEventListener('message', (event) => this.#heard(event.data));
    channel.addEventListener('open', () => clearTimeout(this.#fallback));
    this.#fallback = setTimeout(() => this.#listen(), 1000 * FALLBACK);
  }

  detach() {
    clearTimeout(this.#fallback);
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#events?.close();
    this.#channel = this.#events = null;
    this.#id = '';
    this.#pending = {};
  }

  /** Sets some fields of a `Change`; those of the same moment travel together. */
  set(change) {
    const { style, cue, ...rest } = change;
    Object.assign(this.wanted, rest);
    if (style) this.wanted.mix = { [style]: 1 };
    this.#queue(change);
  }

  /** A mix with a short fade of its own, for a slider that is dragged: the length of cross-fades stays. */
  blend(mix, seconds) {
    this.wanted.mix = mix;
    const text = Object.entries(mix).map(([name, weight]) => `${name}:${weight.toFixed(3)}`).join(',');
    this.#queue({ cue: `${text}:${seconds}s` });
  }

  #queue(change) {
    if (!this.#id || this.#fresh) return; // what is wanted is said when the stream is there
    if ('style' in change || 'mix' in change || 'cue' in change) {
      for (const name of ['style', 'mix', 'cue']) delete this.#pending[name];
    }
    Object.assign(this.#pending, change);
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => this.#flush(), Math.max(0, this.#last + SPACING - performance.now()));
  }

  #flush() {
    [this.#timer, this.#last] = [null, performance.now()];
    const change = this.#pending;
    this.#pending = {};
    this.#send(change);
  }

  #send(change) {
    if (this.#channel?.readyState === 'open') return this.#channel.send(JSON.stringify(change));
    this.#api
      .json(`/v1/streams/${encodeURIComponent(this.#id)}`, { method: 'PATCH', json: change })
      .then((state) => this.#take(state.state ?? state))
      .catch((error) => this.#complain(error.message, error.hint));
  }

  #listen() {
    const source = new EventSource(this.#api.address(`/v1/streams/${encodeURIComponent(this.#id)}/events`));
    source.addEventListener('state', (event) => this.#take(JSON.parse(event.data)));
    source.addEventListener('stats', (event) => this.#tell('stats', JSON.parse(event.data)));
    source.addEventListener('end', () => source.close());
    this.#events = source;
  }

  #heard(text) {
    const message = JSON.parse(text);
    if (message.state) this.#take(message.state);
    if (message.stats) this.#tell('stats', message.stats);
    if (message.error) this.#complain(message.error, message.hint);
  }

  #take(state) {
    if (this.#fresh) {
      this.#fresh = false;
      if (this.#own && JSON.stringify(this.wanted) !== this.#asked) return this.#repeat(state);
    }
    if (state.revision < this.#revision) return;
    this.#revision = state.revision;
    this.state = state;
    for (const name of KEPT) this.wanted[name] = state[name];
    this.#tell('state', state);
  }

  /** What was chosen while the stream, now in this state, was being opened. */
  #repeat(state) {
    const { transition, ...rest } = this.wanted;
    this.#send({ ...rest, transition: 0 });
    this.#send({ transition: transition ?? state.transition });
  }

  #complain(message, hint) {
    if (this.state) this.#tell('state', this.state); // the controls go back to what is so
    this.#tell('trouble', { message, hint });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
