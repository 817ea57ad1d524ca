/** Draws one made-up run: `?sample=failed&theme=dark`; `?edit` opens the first form. */

import { Session } from '../src/kernel';
import type { Up } from '../src/protocol';
import { App } from '../src/widget/app';
import { dress } from '../src/widget/dress';
import style from '../src/view/style.css';
import { render } from 'preact';
import { SAMPLES } from './sample';

const wanted = new URLSearchParams(location.search);
const home = document.getElementById('home') as HTMLElement;
const sent: Up[] = [];
const session = new Session((message) => sent.push(message));
Object.assign(globalThis, { nbf: { session, sent } });

const made = (SAMPLES[wanted.get('sample') ?? 'running'] ?? SAMPLES['running'])?.();
const before = performance.now();
dress(home, style);
if (made) session.receive({ type: 'view', view: made });
render(<App session={session} />, home);
requestAnimationFrame(() =>
  setTimeout(() => Object.assign(globalThis, { paint: performance.now() - before })),
);
