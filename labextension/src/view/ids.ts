/** Ids that no other panel in the page has, whichever copy of these views drew it. */

import { useState } from 'preact/hooks';

const COPY = Math.random().toString(36).slice(2, 8);
let made = 0;

/** Return an id that stays this component's own. */
export function useOwnId(): string {
  const [id] = useState(() => `nbf-${COPY}-${(made += 1)}`);
  return id;
}
