/**
 * The player: shows the stream whose name is in the address, and nothing else.
 *
 * `?stats` says how it fares; `?sound` plays the sound (a browser may want a click first, OBS does not);
 * `?fit=cover` fills the page.  While there is no stream the page is transparent and keeps looking.
 */

import { Api } from './api.js';
import { byId, say } from './dom.js';
import { Keeper } from './keeper.js';
import { watch } from './peer.js';

const api = new Api();
const query = new URL(location.href).searchParams;
const name = decodeURIComponent(location.pathname.split('/').filter(Boolean).pop() ?? '');
const video = byId('painted');
const stats = byId('stats');

stats.hidden = !query.has('stats');
video.style.objectFit = query.get('fit') === 'cover' ? 'cover' : 'contain';

const keeper = new Keeper(
  () => watch(api, name),
  (state, detail) => {
    if (state === 'live') play(detail);
    else if (state !== 'connecting') video.classList.remove('playing');
    if (state === 'stopped') say(stats, [detail.message, detail.hint].filter(Boolean).join(' '));
    else if (state !== 'live') say(stats, `${name}: ${detail?.error?.message || 'connecting …'}`);
  },
);

async function play(session) {
  video.srcObject = session.stream;
  video.muted = !query.has('sound');
  try {
    await video.play();
  } catch {
    video.muted = true; // sound without a click is not allowed in this browser
    await video.play().catch(() => {});
  }
}

video.addEventListener('playing', () => video.classList.add('playing'));

if (query.has('stats')) {
  let frames = 0;
  setInterval(async () => {
    for (const report of (await keeper.session?.pc.getStats())?.values() ?? []) {
      if (report.type !== 'inbound-rtp' || report.kind !== 'video') continue;
      say(stats, `${video.videoWidth} × ${video.videoHeight}  ${report.framesDecoded - frames} fps  lost ${report.packetsLost}  dropped ${report.framesDropped ?? 0}`);
      frames = report.framesDecoded;
    }
  }, 1000);
}

keeper.start();
