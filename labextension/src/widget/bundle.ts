/** What the loader, the widget's bundle and the Lab half agree on. */

import type { Down, Up } from '../protocol';

/** The part of anywidget's model that a panel uses. */
export interface WidgetModel {
  send(message: Up | { type: 'bundle' }): void;
  on(event: string, callback: (message: never) => void): void;
  off(event: string, callback: (message: never) => void): void;
}

/** One widget instance: what the kernel says goes in, any number of views come out. */
export interface Panel {
  receive(message: Down): void;
  /** The kernel is gone. */
  lost(): void;
  /** Draw into an element; the returned function takes it out and stops listening. */
  render(el: HTMLElement): () => void;
  /** Number of views that listen. */
  readonly listening: number;
  close(): void;
}

/** What `widget.js` exports. */
export interface Bundle {
  open(send: (message: Up) => void, css: string): Panel;
}

/** One version of the bundle in a page: fetched once, shared by all panels. */
export interface Slot {
  load(): Promise<{ bundle: Bundle; css: string }>;
  /** Call `send`, which asks the kernel for it, unless it is here or was asked for just now. */
  ask(send: () => void): void;
  /** The kernel sent it. */
  deliver(code: string, css: string): void;
}

/** Where a page keeps its slots, by the hash of their sources. */
export const SLOTS = Symbol.for('nbflow.bundles');

export function slots(): Map<string, Slot> {
  const page = globalThis as { [SLOTS]?: Map<string, Slot> };
  return (page[SLOTS] ??= new Map());
}
