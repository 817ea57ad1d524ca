/** The whole panel of one run, from one picture. */

import type { JSX } from 'preact';

import { useClock } from './clock';
import { Questions } from './forms/questions';
import { RunHeader } from './header';
import { Failure, Notes, Result } from './outcome';
import { lineWord } from './states';
import { Stream } from './stream';
import { Timeline } from './timeline';
import type { Actions, Line, Problem, RunView } from './types';
import { useWords } from './words';

export interface RunPanelProps {
  view: RunView;
  /** The kernel's clock minus the page's, in milliseconds. */
  skew: number;
  line: Line;
  /** Refusals by the id of the question or command. */
  refusals: ReadonlyMap<string, readonly Problem[]>;
  /** null: it can only be read. */
  actions: Actions | null;
}

export function RunPanel({ view, skew, line, refusals, actions }: RunPanelProps): JSX.Element {
  const trans = useWords();
  const ticks = view.live && view.status === 'running' && line !== 'gone';
  const now = useClock(ticks, skew, view.now);
  const asked = new Set(view.questions.map((question) => question.id));
  const others = [...refusals].filter(([id]) => !asked.has(id)).flatMap(([, problems]) => problems);

  return (
    <section
      class="nbf-panel"
      aria-label={trans.__('Workflow run %1', view.workflow)}
      data-lm-suppress-shortcuts="true"
      onKeyDown={keepKeys}
    >
      <RunHeader view={view} now={now} line={line} actions={actions} />
      <Notes line={lineWord(line, trans)} notes={view.notes} problems={others} />
      <Failure error={view.error} />
      <Questions view={view} line={line} refusals={refusals} actions={actions} />
      <Timeline view={view} now={now} />
      <Stream view={view} />
      <Result result={view.result} />
      {view.store !== '' && <footer class="nbf-store">{view.store}</footer>}
    </section>
  );
}

/** What is typed here is not a shortcut of the notebook around it. */
function keepKeys(event: KeyboardEvent): void {
  event.stopPropagation();
}
