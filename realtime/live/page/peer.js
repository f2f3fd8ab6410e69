/** WebRTC sessions: publish the camera and see it painted, or watch a stream that exists. */

import { ApiError } from './api.js';

const GATHERING = 2; // seconds that addresses are collected for, at most
const SILENCE = 5; // seconds that a connection may be disturbed before it counts as lost
const STANDSTILL = 6; // seconds without a new picture after which a session counts as dead
const OPENING = 15; // seconds until the first connection must stand
const BITS_A_PIXEL = 0.25;

/** One connection.  `ended` resolves with the reason; `close()` may be called at any time. */
export class Session {
  id = '';
  channel = null;
  sender = null;
  sound = null;
  stream = new MediaStream();

  constructor(iceServers) {
    this.pc = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
    this.ended = new Promise((done) => (this.#end = done));
    this.connected = new Promise((done) => (this.#connect = done));
    this.pc.addEventListener('track', (event) => this.#received(event));
    this.pc.addEventListener('connectionstatechange', () => this.#changed());
    this.#timer = setTimeout(() => this.close('The connection could not be made.'), 1000 * OPENING);
  }

  #end;
  #connect;
  #timer;
  #watch = null;
  #where = null;

  /** Sends our offer as soon as the addresses are known; `send(sdp)` gives the answer's text. */
  async open(send) {
    await this.pc.setLocalDescription(await this.pc.createOffer());
    await gathered(this.pc);
    const answer = await send(this.pc.localDescription.sdp);
    await this.pc.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  /** What to call to end the session on the server at once, where it would find out in some seconds. */
  release(remove) {
    this.#where = remove;
  }

  /** `over`: the server ended it, so there is nothing to tell it. */
  close(reason = '', over = false) {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    if (!over) this.#where?.();
    this.#where = null;
    this.channel?.close();
    this.pc.close();
    this.#end(reason);
  }

  #received({ track, receiver }) {
    if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
    else if ('playoutDelayHint' in receiver) receiver.playoutDelayHint = 0;
    this.stream.addTrack(track);
  }

  #changed() {
    const state = this.pc.connectionState;
    if (state === 'connected') {
      clearTimeout(this.#timer);
      this.#watch ??= this.#guard();
      this.#connect();
    } else if (state === 'disconnected') {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.close('The connection was lost.'), 1000 * SILENCE);
    } else if (state === 'failed' || state === 'closed') {
      this.close('The connection was lost.');
    }
  }

  /** Ends a session whose picture stands still although the connection looks well. */
  #guard() {
    let [frames, since] = [-1, performance.now()];
    return setInterval(async () => {
      const decoded = await framesDecoded(this.pc);
      if (decoded !== frames || document.hidden) [frames, since] = [decoded, performance.now()];
      else if (performance.now() - since > 1000 * STANDSTILL) this.close('No picture comes back.');
    }, 1000);
  }
}

async function framesDecoded(pc) {
  let frames = 0;
  for (const report of (await pc.getStats()).values()) {
    if (report.type === 'inbound-rtp' && report.kind === 'video') frames = report.framesDecoded ?? performance.now();
  }
  return frames;
}

function gathered(pc) {
  if (pc.iceGatheringState === 'complete') return Promise.resolve();
  return new Promise((done) => {
    setTimeout(done, 1000 * GATHERING);
    pc.addEventListener('icegatheringstatechange', () => pc.iceGatheringState === 'complete' && done());
  });
}

/** Sends the tracks of `media`, comes back painted, set to `settings`; the session has a channel for control. */
export async function publish(api, media, settings) {
  const session = new Session(await api.iceServers());
  try {
    session.channel = session.pc.createDataChannel('control');
    session.channel.addEventListener('close', () => session.close('The server ended the stream.', true));
    for (const track of media.getTracks()) {
      if ('contentHint' in track && track.kind === 'video') track.contentHint = 'motion';
      const { sender } = session.pc.addTransceiver(track, { direction: 'sendrecv', streams: [media] });
      if (track.kind === 'video') session.sender = sender;
    }
    await session.open(async (sdp) => {
      const answer = await api.json('/offer', { method: 'POST', json: { sdp, type: 'offer', ...(settings && { set: settings }) } });
      session.id = answer.id;
      session.release(() => api.call(`/v1/streams/${encodeURIComponent(answer.id)}`, { method: 'DELETE', keepalive: true }).catch(() => {}));
      return answer.sdp;
    });
    await keepSize(session.sender);
  } catch (error) {
    session.close();
    throw error instanceof ApiError ? error : new ApiError(0, 'The connection could not be made.', error.message);
  }
  return session;
}

/** Browsers lower the size where they think the network is slow; paint wants pixels rather than frames. */
export async function keepSize(sender) {
  const { width = 640, height = 360, frameRate = 30 } = sender.track?.getSettings() ?? {};
  try {
    const wanted = sender.getParameters();
    wanted.degradationPreference = 'maintain-resolution';
    for (const encoding of wanted.encodings ?? []) {
      encoding.maxBitrate = Math.min(Math.max(width * height * frameRate * BITS_A_PIXEL, 1.5e6), 12e6);
    }
    await sender.setParameters(wanted);
  } catch {
    // not every browser lets this be set; the answer asks for the same
  }
}

/** Watches the stream `name` by WHEP. */
export async function watch(api, name) {
  const session = new Session(await api.iceServers());
  try {
    session.pc.addTransceiver('video', { direction: 'recvonly' });
    session.pc.addTransceiver('audio', { direction: 'recvonly' });
    await session.open(async (sdp) => {
      const answer = await api.call(`/${encodeURIComponent(name)}/whep`, { method: 'POST', body: sdp, type: 'application/sdp' });
      const place = answer.headers.get('Location');
      if (place) session.release(() => api.call(place, { method: 'DELETE', keepalive: true }).catch(() => {}));
      return answer.text();
    });
    session.id = name;
  } catch (error) {
    session.close();
    throw error instanceof ApiError ? error : new ApiError(0, 'The connection could not be made.', error.message);
  }
  return session;
}
