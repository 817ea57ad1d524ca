/**
 * Draws a kept run; where its widget is alive in this page, that instead.
 *
 * A notebook that was saved while a run waited holds both. ipywidgets draws an
 * error where the kernel is gone, so this stands before it and hands over to
 * it only once it has something to show.
 */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Panel, Widget } from '@lumino/widgets';

import { RUN_MIME, VERSION } from '../protocol';
import { ENGLISH, type Words } from '../view/words';
import { Live } from './live';
import type * as Views from './stored';

export class RunRenderer extends Panel implements IRenderMime.IRenderer {
  readonly #words: Words;
  readonly #stored = new Widget();
  readonly #live: Live;
  #views: typeof Views | null = null;
  #data: unknown = null;
  #isLive = false;

  constructor(options: IRenderMime.IRendererOptions) {
    super();
    this.addClass('nbf-output');
    this.#words = options.translator?.load('nbflow') ?? ENGLISH;
    this.#live = new Live(this, (isLive) => this.#switch(isLive));
    this.addWidget(this.#stored);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this.#data = model.data[RUN_MIME];
    this.#live.follow(model);
    this.#views ??= await import('./stored');
    this.#draw();
  }

  protected override onAfterAttach(): void {
    this.#live.look();
  }

  override dispose(): void {
    if (this.isDisposed) return;
    this.#live.dispose();
    this.#views?.erase(this.#stored.node);
    super.dispose();
  }

  #switch(isLive: boolean): void {
    if (isLive === this.#isLive) return;
    this.#isLive = isLive;
    this.#draw();
  }

  #draw(): void {
    const views = this.#views;
    if (views === null || this.isDisposed) return;
    const { node } = this.#stored;
    if (this.#isLive) {
      views.erase(node);
    } else if (views.isRunView(this.#data)) {
      views.draw(node, this.#data, this.#words);
    } else {
      views.erase(node);
      node.textContent = this.#words.__(
        'This run was kept by another version of nbflow (this one reads version %1). nbflow.show() draws it.',
        VERSION,
      );
    }
  }
}
