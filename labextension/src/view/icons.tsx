/** Signs of 16 pixels, one shape for each state so that colour is never alone. */

import type { JSX } from 'preact';

import type { CallStatus, RunStatus } from '../protocol';

type State = CallStatus | RunStatus;

const SHAPES: Record<State, JSX.Element> = {
  waiting: (
    <circle
      cx="8"
      cy="8"
      r="5"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
      stroke-dasharray="2 2"
    />
  ),
  running: (
    <g class="nbf-spin" fill="none" stroke="currentColor" stroke-width="2">
      <circle cx="8" cy="8" r="5" opacity="0.25" />
      <path d="M8 3a5 5 0 0 1 5 5" stroke-linecap="round" />
    </g>
  ),
  finished: (
    <path
      d="M3.5 8.5l3 3 6-7"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  ),
  failed: (
    <path
      d="M4.5 4.5l7 7m0-7l-7 7"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
    />
  ),
  interrupted: (
    <g fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round">
      <path d="M2.5 3.5h11v7.5h-6l-2.7 2.2V11H2.5z" stroke-linejoin="round" />
      <path d="M5.3 7.3h.01M8 7.3h.01M10.7 7.3h.01" stroke-width="1.8" />
    </g>
  ),
  dropped: <path d="M4 8h8" stroke="currentColor" stroke-width="2" stroke-linecap="round" />,
  cancelled: <rect x="4" y="4" width="8" height="8" rx="1.5" fill="currentColor" />,
  superseded: (
    <path
      d="M3.5 4.5L7 8l-3.5 3.5m5-7L12 8l-3.5 3.5"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  ),
};

const OTHER = {
  copy: (
    <path
      d="M5.5 5.5v-2a1 1 0 0 1 1-1h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-2m-7-5h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-6a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1z"
      fill="none"
      stroke="currentColor"
      stroke-width="1.2"
    />
  ),
  stop: <rect x="4.5" y="4.5" width="7" height="7" rx="1" fill="currentColor" />,
  play: <path d="M5.5 3.8v8.4L12 8z" fill="currentColor" />,
  open: (
    <path
      d="M6 4l4 4-4 4"
      fill="none"
      stroke="currentColor"
      stroke-width="1.6"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  ),
  down: (
    <path
      d="M8 3v9m-4-4l4 4 4-4"
      fill="none"
      stroke="currentColor"
      stroke-width="1.6"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  ),
  remove: (
    <path d="M5 5l6 6m0-6l-6 6" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" />
  ),
  add: <path d="M8 4v8M4 8h8" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" />,
} satisfies Record<string, JSX.Element>;

export type IconName = State | keyof typeof OTHER;

export function Icon({ name }: { name: IconName }): JSX.Element {
  const shape = name in OTHER ? OTHER[name as keyof typeof OTHER] : SHAPES[name as State];
  return (
    <svg
      class="nbf-icon"
      viewBox="0 0 16 16"
      width="16"
      height="16"
      aria-hidden="true"
      focusable="false"
    >
      {shape}
    </svg>
  );
}
