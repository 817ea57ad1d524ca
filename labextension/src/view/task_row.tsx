/** One task call: its name and arguments, its bar, how long it took; all of it when opened. */

import type { JSX } from 'preact';

import { type Axis, endOf } from './axis';
import { CopyAsCode } from './copy';
import { clock, duration, ticking } from './format';
import { Icon } from './icons';
import { badgesOf, callWord } from './states';
import type { Call } from './types';
import type { Row } from './virtual';
import { useWords, type Words } from './words';

interface Props {
  runId: string;
  call: Call;
  depth: number;
  axis: Axis;
  now: number;
  place: Row['props'];
  size: number;
  opened: boolean;
  focusable: boolean;
  onFocus: () => void;
  onToggle: () => void;
}

/** Deeper nesting is indented no further, so that names stay readable. */
const DEEPEST = 8;

export function TaskRowView(props: Props): JSX.Element {
  const trans = useWords();
  const { call, depth } = props;
  const badges = badgesOf(call, trans);
  const summary = call.error || call.result;

  return (
    <div
      {...props.place}
      role="listitem"
      aria-setsize={props.size}
      aria-posinset={props.place['data-index'] + 1}
      class={`nbf-row nbf-is-${call.status}`}
    >
      <button
        type="button"
        class="nbf-task"
        aria-expanded={props.opened}
        tabIndex={props.focusable ? 0 : -1}
        onFocus={props.onFocus}
        onClick={props.onToggle}
      >
        <span
          class="nbf-task-name"
          style={{ paddingInlineStart: `${Math.min(depth, DEEPEST) * 14}px` }}
        >
          <Icon name={call.status} />
          <span class="nbf-hidden">{callWord(call.status, trans)}</span>
          <span class="nbf-name">{call.name}</span>
          <span class="nbf-args">({call.args})</span>
          {badges.map((badge) => (
            <span key={badge.text} class={`nbf-badge nbf-badge-${badge.kind}`} title={badge.text}>
              {badge.text}
            </span>
          ))}
        </span>
        <Track call={call} axis={props.axis} now={props.now} />
        <span class="nbf-time">{took(call, props.now, trans)}</span>
      </button>
      {props.opened && (
        <Details runId={props.runId} call={call} summary={summary} now={props.now} />
      )}
    </div>
  );
}

/** How long its body ran, or the word that stands for it. */
function took(call: Call, now: number, trans: Words): string {
  if (call.status === 'running') return ticking(now - (call.started_at ?? call.called_at));
  if (call.status === 'finished' || call.status === 'failed') {
    return call.started_at === null || call.ended_at === null
      ? ''
      : duration(call.ended_at - call.started_at);
  }
  return callWord(call.status, trans);
}

function Track({ call, axis, now }: { call: Call; axis: Axis; now: number }): JSX.Element {
  const called = axis.place(call.called_at);
  const end = axis.place(endOf(call, now));
  const start = call.started_at === null ? end : axis.place(call.started_at);
  const kept = call.cached || call.replayed ? ' nbf-bar-kept' : '';
  return (
    <span class="nbf-track" aria-hidden="true">
      {start - called > 0.002 && <span class="nbf-wait" style={between(called, start)} />}
      {call.status !== 'waiting' && call.status !== 'dropped' && (
        <span class={`nbf-bar${kept}`} style={between(start, end)} />
      )}
    </span>
  );
}

function between(from: number, to: number): { left: string; width: string } {
  return { left: `${from * 100}%`, width: `${Math.max(0, to - from) * 100}%` };
}

function Details({
  runId,
  call,
  summary,
  now,
}: {
  runId: string;
  call: Call;
  summary: string;
  now: number;
}): JSX.Element {
  const trans = useWords();
  return (
    <div class="nbf-details">
      {call.args !== '' && (
        <>
          <span class="nbf-label">{trans.__('arguments')}</span>
          <pre>{call.args}</pre>
        </>
      )}
      {summary !== '' && (
        <>
          <span class="nbf-label">{call.error ? trans.__('error') : trans.__('result')}</span>
          <pre class={call.error ? 'nbf-pre-error' : ''}>{summary}</pre>
        </>
      )}
      <span class="nbf-label">{trans.__('times')}</span>
      <span>{timesOf(call, now, trans)}</span>
      <span class="nbf-label">{trans.__('fork')}</span>
      <CopyAsCode
        code={{ fork: forkOf(runId, call.id) }}
        label={trans.__('Copy as code: again from here on')}
      />
    </div>
  );
}

/** The Python that tries the run again from a call on, and keeps what stands before it. */
function forkOf(runId: string, callId: string): string {
  return `nbflow.fork("${runId.slice(0, 8)}", before="${callId.slice(0, 12)}")`;
}

function timesOf(call: Call, now: number, trans: Words): string {
  const parts = [trans.__('called %1', clock(call.called_at))];
  const started = call.started_at;
  if (started !== null) {
    if (started - call.called_at >= 1)
      parts.push(trans.__('waited %1', duration(started - call.called_at)));
    parts.push(trans.__('ran %1', duration(endOf(call, now) - started)));
  }
  if (call.ended_at !== null) parts.push(trans.__('ended %1', clock(call.ended_at)));
  parts.push(trans._n('%1 attempt', '%1 attempts', call.attempts));
  return parts.join(' · ');
}
