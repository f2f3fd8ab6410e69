/** Live numbers: the painter's own, and what the browser knows about sending and showing. */

import { byId, make, say } from './dom.js';

const SLOW = 0.85; // share of the camera's rate under which a rate is red
const FIGURES = {
  fpsIn: ['In', 'fps', 'Frames a second that reach the painter'],
  fpsPainted: ['Painted', 'fps', 'Frames a second that are painted'],
  fpsSent: ['Sent', 'fps', 'Frames a second that are sent back'],
  fpsShown: ['Received', 'fps', 'Frames a second that this browser shows'],
  p50: ['Delay p50', 'ms', ''],
  p95: ['Delay p95', 'ms', ''],
  dropped: ['Dropped', '', 'Frames that a newer one replaced before they were painted'],
  effort: ['Step', '', ''],
  flicker: ['Flicker', '', 'Change of the paint along the motion of the picture; 0 is none'],
  up: ['Up', 'Mbit/s', 'What this browser sends'],
  down: ['Down', 'Mbit/s', 'What this browser receives'],
};
const WHOLE = 'Camera to screen, estimated: encoding, network, painting, waiting for smooth playing, decoding.';
const EFFORT = 'Less goes into a frame with every step, where the painter is too slow for the camera; 0 is full effort';
const PART = 'From the arrival of a frame at the painter until it is sent back.';

export class Numbers {
  #cells = {};
  #session = null;
  #timer = null;
  #server = null;
  #before = null;
  #own = {};

  constructor(steering) {
    for (const [name, [label, unit, title]] of Object.entries(FIGURES)) {
      const value = make('b', { text: '–' });
      this.#cells[name] = { value, box: make('div', { title }, make('dt', { text: label }), make('dd', {}, value, make('small', { text: unit }))) };
    }
    byId('figures').append(...Object.values(this.#cells).map((cell) => cell.box));
    steering.addEventListener('stats', (event) => {
      this.#server = event.detail;
      this.#show();
    });
    byId('numbers').open = matchMedia('(min-width: 48rem) and (min-height: 30rem)').matches;
  }

  watch(session) {
    this.stop();
    this.#session = session;
    this.#timer = setInterval(() => this.#measure(), 1000);
  }

  stop() {
    clearInterval(this.#timer);
    this.#session = this.#server = this.#before = null;
    this.#own = {};
    this.#show();
  }

  /** What getStats tells, as differences between two looks. */
  async #measure() {
    const session = this.#session;
    const now = collect(await session.pc.getStats());
    if (session !== this.#session) return;
    this.#own = this.#before ? compare(this.#before, now) : {};
    this.#before = now;
    this.#show();
  }

  #show() {
    const [server, own] = [this.#server ?? {}, this.#own];
    const rate = Math.min(server.fps_in || 0, 60);
    this.#put('fpsIn', round(server.fps_in));
    this.#put('fpsPainted', round(server.fps_painted), slow(server.fps_painted, rate));
    this.#put('fpsSent', round(server.fps_sent), slow(server.fps_sent, rate));
    this.#put('fpsShown', round(own.fps), slow(own.fps, rate));
    const whole = server.latency_ms && own.way !== undefined;
    for (const name of ['p50', 'p95']) {
      const part = server.latency_ms?.[name];
      this.#put(name, round(whole ? part + own.way : part));
      this.#cells[name].box.title = whole ? WHOLE : PART;
      say(this.#cells[name].box.firstChild, `${whole ? 'Delay' : 'To sent'} ${name}`);
    }
    this.#put('dropped', server.dropped === undefined ? '–' : String(server.dropped));
    this.#put('effort', server.effort === undefined ? '–' : String(server.effort), server.effort > 0);
    this.#cells.effort.box.title = [EFFORT, server.effort_name, server.effort_reason].filter(Boolean).join(': ');
    this.#put('flicker', server.flicker?.toFixed(3) ?? '–');
    this.#put('up', own.up?.toFixed(1) ?? '–');
    this.#put('down', own.down?.toFixed(1) ?? (server.bitrate_kbps ? (server.bitrate_kbps / 1000).toFixed(1) : '–'));
    this.#digest(server, own);
    this.#stages(server.stages_ms ?? {}, rate);
  }

  #put(name, text, bad = false) {
    say(this.#cells[name].value, text);
    this.#cells[name].value.nextSibling.hidden = text === '–';
    this.#cells[name].box.classList.toggle('over', Boolean(bad));
  }

  #digest(server, own) {
    const parts = [];
    if (server.size) parts.push(server.size.join(' × '));
    if (server.fps_painted) parts.push(`${round(server.fps_painted)} fps`);
    if (server.viewers > 1) parts.push(`${server.viewers} viewers`);
    if (own.codec) parts.push(own.codec);
    if (server.effort) parts.push(server.effort_name);
    if (server.problem) parts.push(server.problem);
    say(byId('digest'), parts.join(' · '));
  }

  /** One bar for each stage, and for all; red where it takes longer than a frame lasts. */
  #stages(stages, rate) {
    const entries = Object.entries(stages);
    byId('stages').hidden = !entries.length;
    if (!entries.length) return;
    const budget = rate ? 1000 / rate : 1000 / 30;
    say(byId('budget'), `of ${budget.toFixed(0)} at ${Math.round(1000 / budget)} fps`);
    const list = byId('stage-list');
    const names = entries.map(([name]) => name);
    if ([...list.children].map((row) => row.dataset.name).join() !== names.join()) list.replaceChildren(...names.map(bar));
    const longest = Math.max(budget, ...entries.map(([, spent]) => spent));
    list.style.setProperty('--budget', `${(100 * budget) / longest}%`);
    entries.forEach(([, spent], index) => {
      const row = list.children[index];
      row.classList.toggle('over', spent > budget);
      row.style.setProperty('--share', Math.min(spent / longest, 1));
      say(row.lastChild, spent.toFixed(1));
    });
  }
}

const bar = (name) => make('li', { 'data-name': name }, make('span', { text: name }), make('i', { 'aria-hidden': 'true' }), make('b', { text: '–' }));
const round = (value) => (Number.isFinite(value) ? String(Math.round(value)) : '–');
const slow = (value, rate) => Number.isFinite(value) && rate > 0 && value < SLOW * rate;

function collect(reports) {
  const found = { time: performance.now() };
  for (const report of reports.values()) {
    if (report.type === 'inbound-rtp' && report.kind === 'video') {
      found.in = report;
      found.codec = reports.get(report.codecId)?.mimeType?.split('/')[1];
    } else if (report.type === 'outbound-rtp' && report.kind === 'video') found.out = report;
    else if (report.type === 'candidate-pair' && report.nominated && report.currentRoundTripTime !== undefined) found.trip = report.currentRoundTripTime;
  }
  return found;
}

function compare(before, now) {
  const seconds = (now.time - before.time) / 1000;
  const gain = (side, name) => (now[side]?.[name] ?? NaN) - (before[side]?.[name] ?? NaN);
  const each = (side, total, count) => (gain(side, count) > 0 ? (1000 * gain(side, total)) / gain(side, count) : NaN);
  const encoding = each('out', 'totalEncodeTime', 'framesEncoded') || 0;
  const waiting = each('in', 'jitterBufferDelay', 'jitterBufferEmittedCount');
  const decoding = each('in', 'totalDecodeTime', 'framesDecoded');
  const way = encoding + 1000 * (now.trip ?? 0) + waiting + (Number.isFinite(decoding) ? decoding : 0);
  const rate = (side, name) => (Number.isFinite(gain(side, name)) ? (8e-6 * gain(side, name)) / seconds : undefined);
  return {
    fps: gain('in', 'framesDecoded') / seconds,
    way: Number.isFinite(way) ? way : undefined,
    up: rate('out', 'bytesSent'),
    down: rate('in', 'bytesReceived'),
    codec: now.codec,
  };
}
