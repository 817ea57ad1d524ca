/** Times, durations and counts as short text. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `ms` as at most two units: `340 ms`, `4.2 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  const span = Math.max(0, ms);
  if (span < 10) return `${trimmed(span, 1)} ms`;
  if (span < SECOND) return `${Math.round(span)} ms`;
  if (span < 100 * SECOND - 50)
    return span < MINUTE ? `${(span / SECOND).toFixed(1)} s` : minutes(span);
  if (span < HOUR) return minutes(span);
  if (span < DAY) return two(Math.round(span / MINUTE), 60, 'h', 'min');
  return two(Math.round(span / HOUR), 24, 'd', 'h');
}

/** `ms` for a clock that ticks each second: no decimals, so that it does not flicker. */
export function ticking(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / SECOND));
  return seconds < 60 ? `${seconds} s` : duration(seconds * SECOND);
}

function minutes(ms: number): string {
  const seconds = Math.round(ms / SECOND);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

function two(count: number, base: number, big: string, small: string): string {
  const rest = count % base;
  const head = `${Math.floor(count / base)} ${big}`;
  return rest === 0 ? head : `${head} ${rest} ${small}`;
}

function trimmed(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)));
}

/** Time of day with milliseconds, in the reader's zone. */
export function clock(ms: number): string {
  const date = new Date(ms);
  const part = (value: number, width = 2): string => String(value).padStart(width, '0');
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${part(date.getMilliseconds(), 3)}`;
}

/** Date and time, in the reader's zone and habit. */
export function moment(ms: number): string {
  return new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** An id short enough to read out: what stands before the first dash, at most 8 signs from its end. */
export function shortId(id: string): string {
  return id.length <= 10 ? id : id.slice(-8);
}

export function count(value: number): string {
  return value.toLocaleString('en-US').replaceAll(',', '\u202f');
}
