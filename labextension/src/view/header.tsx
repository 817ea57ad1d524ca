/** The head of a run's panel: what runs, how far it is, and the two buttons. */

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';

import { useLasting } from './clock';
import { CopyAsCode } from './copy';
import { count, duration, moment, shortId, ticking } from './format';
import { Icon } from './icons';
import { runWord } from './states';
import type { Actions, Counts, Header, Line } from './types';
import { useWords, type Words } from './words';

interface Props {
  view: Header;
  now: number;
  line: Line;
  actions: Actions | null;
}

export function RunHeader({ view, now, line, actions }: Props): JSX.Element {
  const trans = useWords();
  return (
    <header class="nbf-head">
      <div class="nbf-head-row">
        <span class={`nbf-status nbf-is-${view.status}`}>
          <Icon name={view.status} />
          <span role="status" aria-label={trans.__('Run status')}>
            {runWord(view.status, trans)}
          </span>
        </span>
        <h3 class="nbf-title">{view.workflow}</h3>
        <span class="nbf-ids">
          <span title={trans.__('Thread %1', view.thread_id)}>
            {trans.__('thread')} <code>{view.thread_id}</code>
          </span>
          <span title={trans.__('Run %1', view.run_id)}>
            {trans.__('run')} <code>{shortId(view.run_id)}</code>
          </span>
        </span>
        <div class="nbf-head-side">
          <Elapsed view={view} now={now} />
          {actions !== null && <Buttons view={view} line={line} actions={actions} />}
          <CopyAsCode code={view.code} />
        </div>
      </div>
      <Progress counts={view.counts} />
    </header>
  );
}

function Elapsed({ view, now }: { view: Header; now: number }): JSX.Element {
  const trans = useWords();
  const since = trans.__('Started %1', moment(view.started_at));
  const again =
    view.resumed_at > view.started_at
      ? ` · ${trans.__('went on %1', moment(view.resumed_at))}`
      : '';
  const end = view.ended_at ?? lastAsked(view) ?? now;
  const running = view.status === 'running' && view.live;
  return (
    <time class="nbf-elapsed" title={since + again}>
      {running ? ticking(now - view.resumed_at) : duration(end - view.resumed_at)}
    </time>
  );
}

/** A run that waits for a person worked until its last question. */
function lastAsked(view: Header): number | null {
  const asked = view.questions.map((question) => question.asked_at);
  return view.status === 'interrupted' && asked.length > 0 ? Math.max(...asked) : null;
}

function Progress({ counts }: { counts: Counts }): JSX.Element | null {
  const trans = useWords();
  if (counts.calls === 0) return null;
  const part = (value: number): { width: string } => ({
    width: `${(value / counts.calls) * 100}%`,
  });
  return (
    <div class="nbf-progress-row">
      <div
        class="nbf-progress"
        role="progressbar"
        aria-label={trans.__('Tasks done')}
        aria-valuemin={0}
        aria-valuemax={counts.calls}
        aria-valuenow={counts.finished}
      >
        <span class="nbf-part nbf-is-finished" style={part(counts.finished)} />
        <span class="nbf-part nbf-is-failed" style={part(counts.failed)} />
        <span class="nbf-part nbf-is-interrupted" style={part(counts.interrupted)} />
        <span class="nbf-part nbf-is-running" style={part(counts.running)} />
      </div>
      <span class="nbf-counts">{countsOf(counts, trans)}</span>
    </div>
  );
}

function countsOf(counts: Counts, trans: Words): string {
  const parts = [trans.__('%1 of %2 done', count(counts.finished), count(counts.calls))];
  const add = (value: number, text: string): void => {
    if (value > 0) parts.push(`${count(value)} ${text}`);
  };
  add(counts.running, trans.__('running'));
  add(counts.waiting, trans.__('waiting'));
  add(counts.failed, trans.__('failed'));
  add(counts.interrupted, trans.__('asking'));
  add(counts.dropped, trans.__('not run'));
  add(counts.replayed, trans.__('replayed'));
  add(counts.cached, trans.__('cached'));
  return parts.join(' · ');
}

/** After this long without an effect a button can be pressed again, and Stop says why it may be. */
const UNHEARD_MS = 2_000;

function Buttons({ view, line, actions }: Omit<Props, 'now'> & { actions: Actions }): JSX.Element {
  const trans = useWords();
  const [pressed, setPressed] = useState<{ at: string; what: 'stop' | 'continue' } | null>(null);
  // A press counts for the stretch of work in which it was made.
  const stretch = `${view.status} ${view.resumed_at}`;
  const sent = pressed?.at === stretch ? pressed.what : null;
  const unheard = useLasting(sent !== null, UNHEARD_MS);
  const disabled = line === 'gone' || (sent !== null && !unheard);
  const press = (what: 'stop' | 'continue', act: () => void) => () => {
    setPressed({ at: stretch, what });
    act();
  };

  return (
    <>
      {view.status === 'running' && view.live && (
        <button
          type="button"
          class="nbf-button"
          disabled={disabled}
          onClick={press('stop', actions.stop)}
        >
          <Icon name="stop" />
          {trans.__('Stop')}
        </button>
      )}
      {canGoOn(view) && (
        <button
          type="button"
          class="nbf-button"
          disabled={disabled}
          onClick={press('continue', actions.goOn)}
        >
          <Icon name="play" />
          {trans.__('Continue')}
        </button>
      )}
      <span class="nbf-unheard" role="status">
        {unheard &&
          sent === 'stop' &&
          trans.__(
            'Not stopped yet. If it stays so, the kernel can’t hear this button: use the notebook’s own ■ (interrupt).',
          )}
      </span>
    </>
  );
}

/** It stopped before its end, and no person has to answer first. */
function canGoOn(view: Header): boolean {
  if (view.status === 'failed' || view.status === 'cancelled') return true;
  if (view.status === 'running') return !view.live;
  return (
    view.status === 'interrupted' &&
    view.questions.length > 0 &&
    view.questions.every((question) => question.answered)
  );
}
