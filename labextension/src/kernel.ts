/**
 * One panel's line to the kernel: messages in, commands out, and what is known of the line.
 *
 * It knows no widget and no DOM: a `Wire` carries the messages.
 */

import { apply, EMPTY, type Model, retried } from './model';
import type { Down, Up } from './protocol';

/** live: it answers; silent: it hasn't for a while; gone: it can't any more. */
export type Line = 'live' | 'silent' | 'gone';

export type Wire = (message: Up) => void;

export interface Picture extends Model {
  readonly line: Line;
}

/** After this long without an answer the panel says that the kernel is busy. */
export const SILENCE_MS = 2_000;

/** How often a lost row may make the panel ask for the whole picture again. */
const REOPEN_MS = 5_000;

export class Session {
  picture: Picture = { ...EMPTY, line: 'live' };
  readonly #wire: Wire;
  readonly #listeners = new Set<() => void>();
  #silence: ReturnType<typeof setTimeout> | null = null;
  #reopened = -Infinity;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** Number of views that listen; 0 after the last one was removed. */
  get listening(): number {
    return this.#listeners.size;
  }

  /** Call `listener` after each change, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  send(message: Up): void {
    if (message.type !== 'answer')
      this.#change(retried(this.picture, message.type), this.picture.line);
    this.#wire(message);
    this.#silence ??= setTimeout(() => {
      if (this.picture.line === 'live') this.#change(this.picture, 'silent');
    }, SILENCE_MS);
  }

  receive(message: Down): void {
    this.#hush();
    const model = apply(this.picture, message, Date.now());
    this.#change(model, 'live');
    if (model.gap && Date.now() - this.#reopened > REOPEN_MS) {
      this.#reopened = Date.now();
      this.send({ type: 'open' });
    }
  }

  /** The kernel was restarted or ended: the last picture stays. */
  lost(): void {
    this.#hush();
    this.#change(this.picture, 'gone');
  }

  dispose(): void {
    this.#hush();
    this.#listeners.clear();
  }

  #hush(): void {
    if (this.#silence !== null) clearTimeout(this.#silence);
    this.#silence = null;
  }

  #change(model: Model, line: Line): void {
    this.picture = { ...model, line };
    for (const listener of [...this.#listeners]) listener();
  }
}
