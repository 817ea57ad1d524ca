/** The widget of a run's output, if its notebook's widget manager has it. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { Panel, Widget } from '@lumino/widgets';

const WIDGET_MIME = 'application/vnd.jupyter.widget-view+json';

/** When to look again: a widget manager may come after the outputs were drawn. */
const LOOK_AGAIN_MS = [500, 2_000, 6_000];

/** ipywidgets sends a late message to what it has drawn, and fails where that is gone by then. */
const DRAWING_MS = 5_000;

/** The part of a notebook's registry of renderers that is used. */
interface Registry {
  readonly mimeTypes: readonly string[];
  createRenderer(mimeType: string): IRenderMime.IRenderer & Widget;
}

export class Live {
  readonly #home: Panel;
  readonly #tell: (alive: boolean) => void;
  readonly #observer: MutationObserver;
  #model: IRenderMime.IMimeModel | null = null;
  #id = '';
  #view: (IRenderMime.IRenderer & Widget) | null = null;
  #timers: ReturnType<typeof setTimeout>[] = [];

  /** `tell` is called with whether the widget is drawn in `home`. */
  constructor(home: Panel, tell: (alive: boolean) => void) {
    this.#home = home;
    this.#tell = tell;
    this.#observer = new MutationObserver(() => this.#settle());
  }

  /** Look for the widget that this output names; an output that names none has none. */
  follow(model: IRenderMime.IMimeModel): void {
    const id = widgetId(model);
    if (id === this.#id) return;
    this.#drop();
    this.#id = id;
    this.#model = model;
    this.look();
    for (const wait of id === '' ? [] : LOOK_AGAIN_MS) {
      this.#timers.push(setTimeout(() => this.look(), wait));
    }
  }

  look(): void {
    if (this.#model === null || this.#id === '' || !this.#home.isAttached || this.#alive) return;
    const registry = registryOf(this.#home);
    if (registry === null || !registry.mimeTypes.includes(WIDGET_MIME)) return;
    this.#discard();
    const view = registry.createRenderer(WIDGET_MIME);
    view.hide();
    this.#view = view;
    this.#observer.observe(view.node, { childList: true });
    this.#home.addWidget(view);
    // Its refusal is text in its own node, which stays hidden.
    view.renderModel(this.#model).then(
      () => this.#settle(),
      () => this.#settle(),
    );
  }

  dispose(): void {
    this.#drop();
  }

  /** A widget that was found is an element; a failure is only text. */
  get #alive(): boolean {
    return this.#view !== null && this.#view.node.firstElementChild !== null;
  }

  #settle(): void {
    if (this.#view === null) return;
    this.#view.setHidden(!this.#alive);
    this.#tell(this.#alive);
  }

  #drop(): void {
    for (const timer of this.#timers.splice(0)) clearTimeout(timer);
    this.#discard();
    this.#id = '';
    this.#model = null;
    this.#tell(false);
  }

  #discard(): void {
    this.#observer.disconnect();
    const view = this.#view;
    this.#view = null;
    if (view === null) return;
    view.parent = null;
    setTimeout(() => view.dispose(), DRAWING_MS);
  }
}

/** Only a trusted notebook may run a kernel's code. */
function widgetId(model: IRenderMime.IMimeModel): string {
  const data = model.data[WIDGET_MIME];
  if (!model.trusted || typeof data !== 'object' || data === null) return '';
  const id = (data as { model_id?: unknown }).model_id;
  return typeof id === 'string' ? id : '';
}

/** The registry of the output area around a widget: the one that knows the notebook's manager. */
function registryOf(widget: Widget): Registry | null {
  for (let at = widget.parent; at !== null; at = at.parent) {
    const registry = (at as { rendermime?: Registry }).rendermime;
    if (typeof registry?.createRenderer === 'function') return registry;
  }
  return null;
}
