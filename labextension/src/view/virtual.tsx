/** A long list of which only the rows in sight are in the page. */

import {
  defaultRangeExtractor,
  elementScroll,
  observeElementOffset,
  observeElementRect,
  type Range,
  Virtualizer,
  type VirtualizerOptions,
} from '@tanstack/virtual-core';
import type { ComponentChildren, HTMLAttributes, JSX } from 'preact';
import { useLayoutEffect, useReducer, useRef, useState } from 'preact/hooks';

export interface Row {
  index: number;
  /** Spread over the row's element: its place, and what measures it. */
  props: HTMLAttributes<HTMLDivElement> & { 'data-index': number };
}

interface Props {
  count: number;
  /** Height of a row that was not measured yet, in pixels. */
  estimate: number;
  keyOf: (index: number) => string | number;
  /** Stay at the end as rows come, unless the reader scrolled up. */
  follow: boolean;
  /** Rows are taken away at the begin: what the reader looks at stays where it is. */
  trimmed?: boolean;
  /** A row that stays in the page out of sight: it has the focus. */
  keep?: number | null;
  class: string;
  /** Of the scrolling element: role, label and such. */
  root?: HTMLAttributes<HTMLDivElement>;
  row: (row: Row) => ComponentChildren;
  /** Told false when the reader scrolls up, true when they are back at the end. */
  onEnd?: (atEnd: boolean) => void;
}

const END_PX = 12;

export function VirtualList(props: Props): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer(props, scroller);
  const onScroll = useEndWatch(scroller, props.onEnd);
  return (
    <div {...props.root} class={props.class} ref={scroller} onScroll={onScroll}>
      <div
        class="nbf-virtual"
        role="presentation"
        style={{ height: `${virtualizer.getTotalSize()}px` }}
      >
        {virtualizer.getVirtualItems().map(({ index, start }) =>
          props.row({
            index,
            props: {
              'data-index': index,
              ref: virtualizer.measureElement,
              style: { transform: `translateY(${start}px)` },
            },
          }),
        )}
      </div>
    </div>
  );
}

type Rows = Virtualizer<HTMLDivElement, HTMLDivElement>;

function useVirtualizer(props: Props, scroller: { current: HTMLDivElement | null }): Rows {
  const [, redraw] = useReducer((tick: number) => tick + 1, 0);
  const options: VirtualizerOptions<HTMLDivElement, HTMLDivElement> = {
    count: props.count,
    estimateSize: () => props.estimate,
    getItemKey: props.keyOf,
    getScrollElement: () => scroller.current,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    overscan: 6,
    anchorTo: props.follow || props.trimmed ? 'end' : 'start',
    followOnAppend: props.follow,
    scrollEndThreshold: END_PX,
    rangeExtractor: (range) => rowsOf(range, props.keep ?? null),
    onChange: () => redraw(undefined),
  };
  const [virtualizer] = useState(() => new Virtualizer(options));
  virtualizer.setOptions(options);
  useLayoutEffect(() => virtualizer._didMount(), [virtualizer]);
  useLayoutEffect(() => virtualizer._willUpdate());
  useLayoutEffect(() => {
    if (props.follow) virtualizer.scrollToEnd();
  }, [props.follow, virtualizer]);
  return virtualizer;
}

/** New rows only ever push the end down: who moves up is the reader. */
function useEndWatch(
  scroller: { current: HTMLDivElement | null },
  onEnd: Props['onEnd'],
): () => void {
  const top = useRef(0);
  return () => {
    const element = scroller.current;
    if (element === null) return;
    const before = top.current;
    top.current = element.scrollTop;
    if (element.scrollTop + element.clientHeight >= element.scrollHeight - END_PX) onEnd?.(true);
    else if (element.scrollTop < before) onEnd?.(false);
  };
}

function rowsOf(range: Range, keep: number | null): number[] {
  const rows = defaultRangeExtractor(range);
  if (keep !== null && keep < range.count && !rows.includes(keep)) rows.push(keep);
  return rows;
}
