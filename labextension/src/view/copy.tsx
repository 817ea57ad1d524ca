/** "Copy as code": the Python that does what a press would do. */

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { Icon } from './icons';
import { useWords } from './words';

const SHOWN_MS = 2_500;

/** `copied`: it is in the clipboard; `shown`: it can't be, so it is there to be selected. */
type State = 'idle' | 'copied' | 'shown';

async function copy(code: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(code);
    return true;
  } catch {
    // The browser's own refusal: no permission, or a page without https.
    return false;
  }
}

interface Props {
  /** Name -> Python; a menu where there are several. */
  code: { [name: string]: string };
  /** What the button says; "Copy as code" without it. */
  label?: string;
}

export function CopyAsCode({ code, label }: Props): JSX.Element | null {
  const trans = useWords();
  const says = label ?? trans.__('Copy as code');
  const [open, setOpen] = useState(false);
  const [state, setState] = useState<State>('idle');
  const [last, setLast] = useState('');
  const box = useRef<HTMLDivElement>(null);
  useReset(state, () => setState('idle'));
  useOutside(box, open, () => setOpen(false));

  const names = Object.keys(code);
  const only = names[0];
  if (only === undefined) return null;
  const take = async (name: string): Promise<void> => {
    const text = code[name] ?? '';
    setLast(text);
    setOpen(false);
    setState((await copy(text)) ? 'copied' : 'shown');
  };

  return (
    <div class="nbf-copy" ref={box}>
      <button
        type="button"
        class="nbf-button nbf-quiet"
        title={says}
        aria-expanded={names.length > 1 ? open : undefined}
        onClick={() => (names.length > 1 ? setOpen(!open) : void take(only))}
      >
        <Icon name="copy" />
        <span class="nbf-copy-word">{says}</span>
      </button>
      <span class="nbf-copied" role="status">
        {state === 'copied' && trans.__('Copied')}
      </span>
      {open && (
        <ul class="nbf-menu" aria-label={trans.__('Code to copy')}>
          {names.map((name) => (
            <li key={name}>
              <button type="button" onClick={() => void take(name)}>
                <span>{name}</span>
                <code>{code[name]}</code>
              </button>
            </li>
          ))}
        </ul>
      )}
      {state === 'shown' && (
        <textarea
          class="nbf-code"
          readOnly
          rows={2}
          aria-label={trans.__('Code')}
          value={last}
          onFocus={(event) => event.currentTarget.select()}
        />
      )}
    </div>
  );
}

function useReset(state: State, reset: () => void): void {
  useEffect(() => {
    if (state !== 'copied') return undefined;
    const timer = setTimeout(reset, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [state]);
}

/** A menu closes on Escape and on a press elsewhere. */
function useOutside(box: { current: HTMLElement | null }, open: boolean, close: () => void): void {
  useEffect(() => {
    if (!open) return undefined;
    const press = (event: Event): void => {
      if (!event.composedPath().includes(box.current as EventTarget)) close();
    };
    const key = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') close();
    };
    const element = box.current;
    document.addEventListener('pointerdown', press);
    element?.addEventListener('keydown', key);
    return () => {
      document.removeEventListener('pointerdown', press);
      element?.removeEventListener('keydown', key);
    };
  }, [open]);
}
