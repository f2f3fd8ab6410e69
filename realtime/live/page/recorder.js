/** Saves what is painted: a film by the browser's own recorder, or a picture. */

import { byId, download, fileName, say } from './dom.js';

const KINDS = [
  'video/mp4;codecs=avc1.42E01F,mp4a.40.2',
  'video/mp4;codecs=avc1.42E01F',
  'video/mp4',
  'video/webm;codecs=h264,opus',
  'video/webm;codecs=vp8,opus',
  'video/webm',
];
const BITS = 8_000_000; // a second; paint is full of detail

export class Recorder {
  #button = byId('record');
  #still = byId('still');
  #video = byId('painted');
  #recorder = null;
  #began = 0;
  #clock = null;
  #style;
  #notice;

  /** `style()` names what is painted, for the file's name. */
  constructor(style, notice) {
    this.#style = style;
    this.#notice = notice;
    this.#button.hidden = !window.MediaRecorder;
    this.#button.addEventListener('click', () => this.toggle());
    this.#still.addEventListener('click', () => this.still());
  }

  /** Whether there is something to save. */
  set ready(ready) {
    this.#button.disabled = this.#still.disabled = !ready;
    if (!ready) this.stop();
  }

  toggle() {
    if (this.#button.disabled || this.#button.hidden) return;
    if (this.#recorder) this.stop();
    else this.#start();
  }

  stop() {
    if (this.#recorder?.state !== 'inactive') this.#recorder?.stop();
  }

  #start() {
    const kind = KINDS.find((one) => MediaRecorder.isTypeSupported?.(one)) ?? '';
    const parts = [];
    let recorder;
    try {
      recorder = new MediaRecorder(heard(this.#video.srcObject), { ...(kind && { mimeType: kind }), videoBitsPerSecond: BITS });
      recorder.start(1000);
    } catch (error) {
      return this.#notice.show('This browser cannot record the picture.', { hint: error.message, topic: 'record' });
    }
    recorder.addEventListener('dataavailable', (event) => event.data.size && parts.push(event.data));
    recorder.addEventListener('stop', () => this.#finish(recorder, parts));
    recorder.addEventListener('error', () => this.stop());
    this.#recorder = recorder;
    this.#began = performance.now();
    this.#button.setAttribute('aria-pressed', true);
    this.#clock = setInterval(() => this.#tick(), 500);
    this.#tick();
    this.#notice.whisper('Recording');
  }

  #tick() {
    const seconds = Math.floor((performance.now() - this.#began) / 1000);
    say(byId('record-text'), `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`);
  }

  #finish(recorder, parts) {
    clearInterval(this.#clock);
    this.#recorder = null;
    this.#button.setAttribute('aria-pressed', false);
    say(byId('record-text'), 'Record');
    const type = (recorder.mimeType || 'video/webm').split(';')[0];
    if (!parts.length) return this.#notice.show('Nothing was recorded.', { topic: 'record' });
    const name = fileName(this.#style(), type.endsWith('mp4') ? 'mp4' : 'webm');
    download(new Blob(parts, { type }), name);
    this.#notice.show(`Saved ${name}`, { topic: 'record', seconds: 6, brief: true, urgent: false });
  }

  still() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (!width || this.#still.disabled) return;
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext('2d').drawImage(this.#video, 0, 0);
    canvas.toBlob((blob) => {
      if (!blob) return;
      const name = fileName(this.#style(), 'png');
      download(blob, name);
      this.#notice.show(`Saved ${name}`, { topic: 'record', seconds: 6, brief: true, urgent: false });
    }, 'image/png');
  }
}

/** Without sound tracks that carry nothing: some recorders wait for them for ever. */
function heard(stream) {
  return new MediaStream([...stream.getVideoTracks(), ...stream.getAudioTracks().filter((track) => !track.muted)]);
}
