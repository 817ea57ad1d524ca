/**
 * What each widget instance carries: it fetches the bundle once a page.
 *
 * It listens from the first moment, since what the kernel says before the
 * bundle is there would be lost, and a busy kernel can't be asked again.
 */

import type { Down } from '../protocol';
import { type Bundle, type Panel, type Slot, slots, type WidgetModel } from './bundle';

declare const __HASH__: string;

/** A kernel that was asked may have died since: another panel asks again after this time. */
const ASK_AGAIN_MS = 5_000;
/** After this long the panel says why it is empty. */
const BUSY_MS = 3_000;

type Message = Down | { type: 'bundle'; code: string; css: string };

async function evaluated(code: string): Promise<Bundle> {
  const blob = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
  try {
    return (await import(blob)) as Bundle;
  } catch {
    // The page's own rule may forbid blob: addresses; where it forbids data: too, this error is shown.
    return (await import(
      `data:text/javascript;charset=utf-8,${encodeURIComponent(code)}`
    )) as Bundle;
  } finally {
    URL.revokeObjectURL(blob);
  }
}

function newSlot(): Slot {
  let deliver: Slot['deliver'] = () => undefined;
  let here = false;
  let asked = -Infinity;
  const loaded = new Promise<{ bundle: Bundle; css: string }>((resolve, reject) => {
    deliver = (code, css) => {
      deliver = () => undefined;
      here = true;
      evaluated(code).then(
        (bundle) => resolve({ bundle, css }),
        (error: unknown) => {
          slots().delete(__HASH__);
          reject(error);
        },
      );
    };
  });
  return {
    load: () => loaded,
    ask: (send) => {
      if (here || Date.now() - asked < ASK_AGAIN_MS) return;
      asked = Date.now();
      send();
    },
    deliver: (code, css) => deliver(code, css),
  };
}

function slot(): Slot {
  let one = slots().get(__HASH__);
  if (one === undefined) slots().set(__HASH__, (one = newSlot()));
  return one;
}

/** Say something where the panel will be; text only. */
function say(el: HTMLElement, text: string): void {
  el.textContent = text;
}

/** One of these for each widget instance. */
class Instance {
  readonly #model: WidgetModel;
  readonly #early: Down[] = [];
  readonly #panel: Promise<Panel>;
  readonly #slot = slot();
  #open: Panel | null = null;
  #closed = false;

  constructor(model: WidgetModel) {
    this.#model = model;
    model.on('msg:custom', this.#hear);
    model.on('comm:close', this.#lost);
    model.on('comm_live_update', this.#lost);
    this.#ask();
    this.#panel = this.#slot.load().then(({ bundle, css }) => this.#opened(bundle, css));
    // A failure is shown where the panel is drawn.
    this.#panel.catch(() => undefined);
  }

  readonly #hear = (message: Message): void => {
    if (message.type === 'bundle') this.#slot.deliver(message.code, message.css);
    else if (this.#open === null) this.#early.push(message);
    else this.#open.receive(message);
  };

  readonly #lost = (): void => this.#open?.lost();

  #ask(): void {
    this.#slot.ask(() => this.#model.send({ type: 'bundle' }));
  }

  #opened(bundle: Bundle, css: string): Panel {
    const panel = bundle.open((message) => this.#model.send(message), css);
    if (this.#closed) panel.close();
    this.#open = panel;
    for (const message of this.#early.splice(0)) panel.receive(message);
    return panel;
  }

  async render(el: HTMLElement): Promise<() => void> {
    this.#ask();
    const late = setTimeout(
      () =>
        say(
          el,
          'This panel is drawn as soon as the kernel sends it: it is busy with the running cell.',
        ),
      BUSY_MS,
    );
    try {
      const panel = await this.#panel;
      say(el, '');
      return panel.render(el);
    } catch (error) {
      say(
        el,
        `The panel could not be loaded: ${String(error)}. nbflow.show() prints the run as text.`,
      );
      return () => undefined;
    } finally {
      clearTimeout(late);
    }
  }

  close(): void {
    this.#closed = true;
    this.#model.off('msg:custom', this.#hear);
    this.#model.off('comm:close', this.#lost);
    this.#model.off('comm_live_update', this.#lost);
    this.#open?.close();
  }
}

export default (): {
  initialize(props: { model: WidgetModel }): () => void;
  render(props: { model: WidgetModel; el: HTMLElement }): Promise<() => void>;
} => {
  let instance: Instance | null = null;
  return {
    initialize({ model }) {
      instance = new Instance(model);
      return () => instance?.close();
    },
    render: ({ model, el }) => (instance ??= new Instance(model)).render(el),
  };
};
