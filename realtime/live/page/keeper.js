/** Keeps a session alive: opens it, waits when that fails, and opens it again when it ends. */

const FIRST = 0.5;
const LONGEST = 15;
const STEADY = 5; // seconds after which a session counts as good and waiting starts from the beginning
const HOPELESS = [400, 401, 403, 413, 415];

export class Keeper {
  #open;
  #report;
  #run = 0;
  #wake = () => {};
  session = null;

  /**
   * `open()` gives a connected-to-be session; `report(state, detail)` hears `connecting`, `live` (the session),
   * `waiting` ({error, seconds}) and `stopped` (the error, or nothing).
   */
  constructor(open, report) {
    this.#open = open;
    this.#report = report;
    window.addEventListener('online', () => this.nudge());
    window.addEventListener('pagehide', () => this.session?.close());
    window.addEventListener('pageshow', (event) => event.persisted && this.nudge());
  }

  get running() {
    return this.#run > 0;
  }

  start() {
    this.stop();
    this.#loop(++Keeper.#runs);
  }

  stop() {
    this.#run = 0;
    this.session?.close();
    this.session = null;
    this.#wake();
  }

  /** Ends waiting at once. */
  nudge() {
    this.#wake();
  }

  /** A new session with the same settings, for example with another set of tracks. */
  again() {
    if (this.running) this.start();
  }

  static #runs = 0;

  async #loop(run) {
    this.#run = run;
    let failures = 0;
    while (this.#run === run) {
      this.#report('connecting', failures);
      let [error, session, since] = [null, null, performance.now()];
      try {
        session = await this.#open();
        if (this.#run !== run) return session.close();
        this.session = session;
        const stands = await Promise.race([session.connected.then(() => true), session.ended.then(() => false)]);
        if (this.#run !== run) return;
        if (stands) this.#report('live', session);
        since = performance.now();
        error = { message: await session.ended, hint: '', retryAfter: null, status: 0 };
      } catch (problem) {
        error = problem;
      }
      if (this.#run !== run) return;
      this.session = null;
      if (HOPELESS.includes(error.status)) {
        this.#run = 0;
        return this.#report('stopped', error);
      }
      if (session && performance.now() - since > 1000 * STEADY) failures = 0;
      const growing = Math.min(FIRST * 2 ** failures++, LONGEST) * (0.75 + Math.random() / 2);
      await this.#wait(error.retryAfter ?? growing, error);
    }
  }

  async #wait(seconds, error) {
    this.#report('waiting', { error, seconds });
    await new Promise((done) => {
      this.#wake = done;
      setTimeout(done, 1000 * seconds);
    });
  }
}
