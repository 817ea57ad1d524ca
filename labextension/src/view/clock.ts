/** The kernel's time, ticking while something runs and the page can be seen. */

import { useEffect, useState } from 'preact/hooks';

const TICK_MS = 250;

/** Return now in the kernel's time; it ticks while `active`, else stands at `still`. */
export function useClock(active: boolean, skew: number, still: number): number {
  const [now, setNow] = useState(() => Date.now() + skew);
  useEffect(() => {
    if (!active) return undefined;
    const tick = (): void => {
      if (!document.hidden) setNow(Date.now() + skew);
    };
    tick();
    const timer = setInterval(tick, TICK_MS);
    return () => clearInterval(timer);
  }, [active, skew]);
  return active ? Math.max(now, still) : still;
}

/** Return true once `active` has lasted `ms`. */
export function useLasting(active: boolean, ms: number): boolean {
  const [lasted, setLasted] = useState(false);
  useEffect(() => {
    setLasted(false);
    if (!active) return undefined;
    const timer = setTimeout(() => setLasted(true), ms);
    return () => clearTimeout(timer);
  }, [active, ms]);
  return active && lasted;
}
