/** The camera and the microphone: which there are, opening them, and why they cannot be opened. */

import { byId, make, memory } from './dom.js';

/** A message for the user in place of the browser's. */
export class CameraError extends Error {
  constructor(message, hint, again = true) {
    super(message);
    this.hint = hint;
    this.again = again;
  }
}

export class Camera {
  #camera = byId('camera');
  #size = byId('size');
  #microphone = byId('microphone');
  #choice = new Map();
  media = null;
  /** Hears that another camera, size or microphone was chosen: `(sound)` true where the sound changed. */
  onchoice = () => {};
  /** Hears that the camera went away. */
  onlost = () => {};
  /** Hears that a camera was plugged in, or allowed after all. */
  onback = () => {};

  constructor() {
    for (const [name, select] of Object.entries({ camera: this.#camera, size: this.#size, microphone: this.#microphone })) {
      const kept = memory.get(name, select.value);
      this.#choice.set(select, kept);
      if ([...select.options].some((option) => option.value === kept)) select.value = kept;
      select.addEventListener('change', () => {
        this.#choice.set(select, select.value);
        memory.set(name, select.value);
        this.onchoice(select === this.#microphone);
      });
    }
    navigator.mediaDevices?.addEventListener?.('devicechange', async () => {
      const devices = await this.list();
      if (devices.some((one) => one.kind === 'videoinput')) this.onback();
    });
    this.list();
    this.#watchPermission();
  }

  /** Not every browser tells about it; then the user tries again. */
  async #watchPermission() {
    const permission = await navigator.permissions?.query?.({ name: 'camera' }).catch(() => null);
    permission?.addEventListener?.('change', () => permission.state === 'granted' && this.onback());
  }

  /** Why there can be no camera here at all, or null. */
  static obstacle() {
    if (navigator.mediaDevices?.getUserMedia && window.RTCPeerConnection) return null;
    if (window.isSecureContext) return new CameraError('This browser has no camera for web pages.', 'Use a current Chromium, Firefox or Safari.', false);
    const local = `http://localhost${location.port ? `:${location.port}` : ''}/`;
    return new CameraError(
      'Browsers give the camera to secure pages only, and this address is not one.',
      `Start allaprima serve with --tls-cert and open https://${location.host}/, or open ${local} on the machine itself.`,
      false,
    );
  }

  /** Fills the lists; names are known once the camera was allowed. */
  async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
    this.#fill(this.#camera, devices, 'videoinput', [['', 'any']], 'Camera');
    this.#fill(this.#microphone, devices, 'audioinput', [['none', 'none'], ['', 'any microphone']], 'Microphone');
    return devices;
  }

  #fill(select, devices, kind, first, word) {
    const found = devices.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== 'default');
    const entries = [...first, ...found.map((device, index) => [device.deviceId, device.label || `${word} ${index + 1}`])];
    select.replaceChildren(...entries.map(([value, text]) => make('option', { value, text })));
    const used = kind === 'videoinput' ? this.media?.getVideoTracks()[0]?.getSettings().deviceId : '';
    const wanted = [used, this.#choice.get(select), first[0][0]];
    select.value = wanted.find((wish) => wish && entries.some(([value]) => value === wish)) ?? first[0][0];
  }

  /** What was chosen, also while the list does not know it yet. */
  #wish(select) {
    const chosen = this.#choice.get(select);
    return chosen && chosen !== 'none' ? { deviceId: { exact: chosen } } : {};
  }

  get wantsSound() {
    return this.#choice.get(this.#microphone) !== 'none';
  }

  /** Opens what is chosen; throws `CameraError`. */
  async open() {
    const obstacle = Camera.obstacle();
    if (obstacle) throw obstacle;
    const audio = this.wantsSound ? { echoCancellation: false, noiseSuppression: false, autoGainControl: false, ...this.#wish(this.#microphone) } : false;
    this.close();
    try {
      this.media = await this.#ask({ video: { ...size(this.#size), ...this.#wish(this.#camera) }, audio });
    } catch (error) {
      throw await this.#explain(error);
    }
    const [track] = this.media.getVideoTracks();
    track.addEventListener('ended', () => this.media?.getVideoTracks()[0] === track && this.onlost());
    await this.list();
    return this.media;
  }

  close() {
    for (const track of this.media?.getTracks() ?? []) track.stop();
    this.media = null;
  }

  /** A camera that was chosen once and is not there is replaced by any; a size by any size. */
  async #ask(wishes) {
    try {
      return await navigator.mediaDevices.getUserMedia(wishes);
    } catch (error) {
      if (!['OverconstrainedError', 'ConstraintNotSatisfiedError'].includes(error.name)) throw error;
      return navigator.mediaDevices.getUserMedia({ video: true, audio: Boolean(wishes.audio) });
    }
  }

  async #explain(error) {
    const devices = await this.list();
    const cameras = devices.some((one) => one.kind === 'videoinput');
    const sound = this.wantsSound && cameras ? ' Or choose no sound.' : '';
    switch (error.name) {
      case 'NotAllowedError':
      case 'PermissionDeniedError':
      case 'SecurityError':
        if (/system/i.test(error.message)) return new CameraError('The system keeps the camera from this browser.', 'Allow the browser the camera in the system settings, under privacy.');
        return new CameraError('The camera was refused.', `Allow it in the browser: the camera sign beside the address, or the settings of this site.${sound}`);
      case 'NotFoundError':
      case 'DevicesNotFoundError':
        if (cameras && this.wantsSound) return new CameraError('There is no microphone.', 'Plug one in, or choose no sound.');
        return new CameraError('There is no camera.', 'Plug one in: this page sees it by itself.');
      case 'NotReadableError':
      case 'TrackStartError':
      case 'AbortError':
        return new CameraError('The camera is busy.', `Close the other program or page that uses it, or choose another camera.${sound}`);
      default:
        return new CameraError('The camera cannot be opened.', error.message);
    }
  }
}

function size(select) {
  const [width, height] = select.value.split('x').map(Number);
  return { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30 } };
}
