/** The task calls of a run: one row each, on a time axis that all share. */

import type { JSX, TargetedKeyboardEvent } from 'preact';
import { useMemo, useState } from 'preact/hooks';

import { type Axis, axisOf, workOf } from './axis';
import { count, duration } from './format';
import { failuresFirst, inOrder, type TaskRow } from './rows';
import { TaskRowView } from './task_row';
import type { Call, Header, RunView } from './types';
import { VirtualList } from './virtual';
import { useWords } from './words';

const ROW_PX = 28;

interface Props {
  view: RunView;
  now: number;
}

export function Timeline({ view, now }: Props): JSX.Element {
  const trans = useWords();
  const [failedFirst, setFailedFirst] = useState(false);
  const { calls } = view;
  const ordered = useMemo(() => inOrder(calls), [view.run_id, calls.length]);
  const rows = failedFirst ? failuresFirst(ordered, calls) : ordered;
  const work = useMemo(() => workOf(calls, view.resumed_at), [calls, view.resumed_at]);
  const axis = useMemo(() => axisOf(work, view, now), [work, view, now]);
  const { failed } = view.counts;

  return (
    <section class="nbf-section">
      <div class="nbf-section-head nbf-timeline-head">
        <div class="nbf-timeline-title">
          <h4>{trans.__('Tasks')}</h4>
          <span class="nbf-muted">{count(view.counts.calls)}</span>
          {(failed > 0 || failedFirst) && (
            <button
              type="button"
              class="nbf-toggle"
              aria-pressed={failedFirst}
              onClick={() => setFailedFirst(!failedFirst)}
            >
              {trans.__('Failures first')}
            </button>
          )}
        </div>
        {rows.length > 0 && <Scale axis={axis} />}
      </div>
      {rows.length === 0 ? (
        <p class="nbf-empty">
          {view.status === 'running'
            ? trans.__('No task was called yet.')
            : trans.__('No task was called.')}
        </p>
      ) : (
        <Rows
          runId={view.run_id}
          rows={rows}
          calls={calls}
          axis={axis}
          now={now}
          follow={isLive(view) && !failedFirst}
        />
      )}
    </section>
  );
}

const isLive = (view: Header): boolean => view.live && view.status === 'running';

const LABELS_APART = 0.8;

/** The ends of the axis, and how long its breaks are. */
function Scale({ axis }: { axis: Axis }): JSX.Element {
  const trans = useWords();
  const crowded = axis.breaks.length > 4;
  const last = axis.breaks.at(-1);
  // A break at the very end needs the room of the end's own label.
  const covered = !crowded && last !== undefined && (last.from + last.to) / 2 > LABELS_APART;
  return (
    <div class="nbf-scale" aria-hidden="true">
      <span>0</span>
      {!crowded &&
        axis.breaks.map((pause) => (
          <span
            key={pause.from}
            class="nbf-scale-break"
            style={{ left: `${((pause.from + pause.to) / 2) * 100}%` }}
            title={trans.__('Nothing ran for %1', duration(pause.ms))}
          >
            {duration(pause.ms)}
          </span>
        ))}
      {!covered && <span class="nbf-scale-end">{duration(axis.scaled)}</span>}
    </div>
  );
}

interface RowsProps {
  runId: string;
  calls: readonly Call[];
  rows: readonly TaskRow[];
  axis: Axis;
  now: number;
  follow: boolean;
}

/** One tab stop for the whole list: arrow keys move in it, Enter opens a row. */
function Rows({ runId, rows, calls, axis, now, follow }: RowsProps): JSX.Element {
  const trans = useWords();
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const [focused, setFocused] = useState(0);
  const current = Math.min(focused, rows.length - 1);

  const toggle = (id: string): void => {
    const next = new Set(opened);
    if (!next.delete(id)) next.add(id);
    setOpened(next);
  };
  const move = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    const next = target(event.key, current, rows.length);
    if (
      next === null ||
      !(event.target instanceof HTMLElement) ||
      !event.target.matches('.nbf-task')
    )
      return;
    event.preventDefault();
    setFocused(next);
    const list = event.currentTarget;
    requestAnimationFrame(() => {
      const row = list.querySelector<HTMLElement>(`[data-index="${next}"] .nbf-task`);
      row?.focus();
      row?.scrollIntoView({ block: 'nearest' });
    });
  };

  return (
    <VirtualList
      class="nbf-tasks"
      count={rows.length}
      estimate={ROW_PX}
      keyOf={(index) => rows[index]?.place ?? index}
      follow={follow}
      keep={current}
      root={{
        role: 'list',
        'aria-label': trans.__('Tasks'),
        style: { '--nbf-breaks': breaksImage(axis) },
        onKeyDown: move,
      }}
      row={({ index, props }) => {
        const row = rows[index];
        const call = row && calls[row.place];
        return (
          call && (
            <TaskRowView
              key={call.id}
              runId={runId}
              call={call}
              depth={row.depth}
              axis={axis}
              now={now}
              place={props}
              size={rows.length}
              opened={opened.has(call.id)}
              focusable={index === current}
              onFocus={() => setFocused(index)}
              onToggle={() => toggle(call.id)}
            />
          )
        );
      }}
    />
  );
}

function target(key: string, current: number, size: number): number | null {
  switch (key) {
    case 'ArrowDown':
      return Math.min(size - 1, current + 1);
    case 'ArrowUp':
      return Math.max(0, current - 1);
    case 'Home':
      return 0;
    case 'End':
      return size - 1;
    default:
      return null;
  }
}

/** The breaks as one background that every row's track uses. */
function breaksImage(axis: Axis): string {
  if (axis.breaks.length === 0) return 'none';
  const stops = axis.breaks.flatMap(({ from, to }) => {
    const [a, b] = [`${from * 100}%`, `${to * 100}%`];
    return [
      `transparent ${a}`,
      `var(--nbf-break) ${a}`,
      `var(--nbf-break) ${b}`,
      `transparent ${b}`,
    ];
  });
  return `linear-gradient(to right, ${stops.join(', ')})`;
}
