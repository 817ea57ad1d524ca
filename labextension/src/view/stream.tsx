/** What the tasks wrote while they ran, newest at the end. */

import type { HTMLAttributes, JSX } from 'preact';
import { useState } from 'preact/hooks';

import { clock, count } from './format';
import { Icon } from './icons';
import type { RunView, StreamItem } from './types';
import { VirtualList } from './virtual';
import { useWords } from './words';

const LINE_PX = 21;

export function Stream({ view }: { view: RunView }): JSX.Element | null {
  const trans = useWords();
  const [paused, setPaused] = useState(false);
  const items = view.stream;
  if (items.length === 0 && view.stream_total === 0) return null;

  const named = items.some((item) => item.source !== '');
  const live = view.live && view.status === 'running';
  return (
    <section class="nbf-section">
      <div class="nbf-section-head">
        <h4>{trans.__('Stream')}</h4>
        <span class="nbf-muted">{count(view.stream_total)}</span>
        {live && paused && (
          <button type="button" class="nbf-toggle" onClick={() => setPaused(false)}>
            <Icon name="down" />
            {trans.__('Follow')}
          </button>
        )}
      </div>
      <VirtualList
        class="nbf-stream"
        count={items.length}
        estimate={LINE_PX}
        keyOf={(index) => items[index]?.n ?? index}
        follow={live && !paused}
        trimmed
        onEnd={(atEnd) => setPaused(!atEnd)}
        root={{ role: 'log', 'aria-live': 'off', 'aria-label': trans.__('Stream'), tabIndex: 0 }}
        row={({ index, props }) => {
          const item = items[index];
          return (
            item && (
              <Line
                key={item.n}
                item={item}
                skipped={skippedBefore(items, index)}
                named={named}
                place={props}
              />
            )
          );
        }}
      />
    </section>
  );
}

/** How many items were left out right before this one. */
function skippedBefore(items: readonly StreamItem[], index: number): number {
  const item = items[index];
  const before = items[index - 1];
  return item === undefined ? 0 : item.n - (before === undefined ? 0 : before.n + 1);
}

interface LineProps {
  item: StreamItem;
  skipped: number;
  /** Whether there is a column for the task that wrote it. */
  named: boolean;
  place: HTMLAttributes<HTMLDivElement>;
}

function Line({ item, skipped, named, place }: LineProps): JSX.Element {
  const trans = useWords();
  return (
    <div {...place} class={named ? 'nbf-line' : 'nbf-line nbf-line-own'}>
      {skipped > 0 && (
        <span class="nbf-skipped">
          {trans._n('%1 item left out', '%1 items left out', skipped)}
        </span>
      )}
      <span class="nbf-line-time">{clock(item.at)}</span>
      {named && (
        <span class="nbf-line-source" title={item.source}>
          {item.source}
        </span>
      )}
      <span class="nbf-line-text">{item.text}</span>
    </div>
  );
}
