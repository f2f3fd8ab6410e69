/** Talks to the server: the token, JSON, and errors with a hint for the user. */

const PATIENCE = 20; // seconds until a request counts as unanswered

export class ApiError extends Error {
  /** `status` 0: the server did not answer.  `retryAfter`: seconds, or null. */
  constructor(status, message, hint = '', retryAfter = null) {
    super(message);
    this.status = status;
    this.hint = hint;
    this.retryAfter = retryAfter;
  }
}

export class Api {
  #token = '';

  /** Takes `?token=` out of the address, so that it is not copied, bookmarked or shown. */
  constructor() {
    const address = new URL(location.href);
    this.#token = address.searchParams.get('token') ?? '';
    if (address.searchParams.has('token')) {
      address.searchParams.delete('token');
      history.replaceState(history.state, '', address);
    }
  }

  get hasToken() {
    return this.#token !== '';
  }

  set token(token) {
    this.#token = token;
  }

  /** The address with the token in its query, for what cannot send headers. */
  address(path) {
    const url = new URL(path, location.origin);
    if (this.#token) url.searchParams.set('token', this.#token);
    return url.href;
  }

  /** A request; throws `ApiError` unless the answer is good. */
  async call(path, { method = 'GET', body, type, json, keepalive = false, patience = PATIENCE } = {}) {
    const headers = {};
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    if (json !== undefined) [body, type] = [JSON.stringify(json), 'application/json'];
    if (type) headers['Content-Type'] = type;
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), 1000 * patience);
    try {
      const answer = await fetch(path, { method, body, headers, keepalive, signal: abort.signal, credentials: 'same-origin', referrerPolicy: 'no-referrer' });
      if (!answer.ok) throw await problem(answer);
      return answer;
    } catch (error) {
      if (error instanceof ApiError) throw error;
      throw new ApiError(0, 'The server does not answer.', 'Is allaprima serve running, and is the network there?');
    } finally {
      clearTimeout(timer);
    }
  }

  async json(path, options) {
    return (await this.call(path, options)).json();
  }

  /** Where the browser may look for its own addresses; the server knows, by default nowhere. */
  async iceServers() {
    try {
      return (await this.json('/v1/ice')).iceServers ?? [];
    } catch (error) {
      if (error.status === 404) return [];
      throw error;
    }
  }

  /** A picture as an address for <img>: with a token it has to be fetched by us. */
  async picture(path) {
    if (!this.#token) return path;
    return URL.createObjectURL(await (await this.call(path)).blob());
  }
}

async function problem(answer) {
  const text = await answer.text().catch(() => '');
  let body = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    // a proxy's page of HTML helps nobody
  }
  const [message, hint] = STANDARD[answer.status] ?? [`The server answered ${answer.status}.`, ''];
  const after = answer.headers.get('Retry-After');
  const seconds = after === null ? null : Number.isFinite(+after) ? +after : (Date.parse(after) - Date.now()) / 1000;
  const own = answer.status === 401 || answer.status === 503; // the page says it better than a server can
  return new ApiError(answer.status, (!own && body.error) || message, body.hint || hint, Number.isFinite(seconds) ? Math.max(seconds, 0) : null);
}

const STANDARD = {
  401: ['This server asks for a token.', 'It was printed where allaprima serve was started.'],
  403: ['The server refuses this page.', ''],
  404: ['The server does not have that.', ''],
  413: ['That is too large for the server.', ''],
  415: ['The server cannot read that kind of file.', ''],
  429: ['Too many requests.', 'Wait a moment.'],
  503: ['All places on this server are taken.', ''],
};
