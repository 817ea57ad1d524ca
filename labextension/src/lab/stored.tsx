/** A run as it was kept: the full panel, to read. */

import { render } from 'preact';

import { type RunView, VERSION } from '../protocol';
import { RunPanel, type RunPanelProps } from '../view/panel';
import style from '../view/style.css';
import { type Words, WordsContext } from '../view/words';
import { dress } from '../widget/dress';

const NONE: RunPanelProps['refusals'] = new Map();

/** Whether this is a picture that these views can draw. */
export function isRunView(data: unknown): data is RunView {
  if (typeof data !== 'object' || data === null) return false;
  const view = data as Partial<RunView>;
  return (
    view.v === VERSION &&
    Array.isArray(view.calls) &&
    Array.isArray(view.stream) &&
    Array.isArray(view.questions)
  );
}

export function draw(el: HTMLElement, view: RunView, words: Words): void {
  dress(el, style);
  // Text of an earlier refusal is no part of what is drawn.
  if (el.firstElementChild === null) el.textContent = '';
  render(
    <WordsContext.Provider value={words}>
      <RunPanel
        view={{ ...view, live: false }}
        skew={0}
        line="stored"
        refusals={NONE}
        actions={null}
      />
    </WordsContext.Provider>,
    el,
  );
}

export function erase(el: HTMLElement): void {
  render(null, el);
}
