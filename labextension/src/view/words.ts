/** The words a person reads: English, or what JupyterLab's translator gives. */

import { createContext } from 'preact';
import { useContext } from 'preact/hooks';

/** The part of JupyterLab's `TranslationBundle` that the views use. */
export interface Words {
  /** `%1`, `%2` ... stand for the arguments. */
  __(text: string, ...args: (string | number)[]): string;
  /** `%1` stands for `n`. */
  _n(one: string, many: string, n: number, ...args: (string | number)[]): string;
}

function fill(text: string, args: readonly (string | number)[]): string {
  return text.replace(/%(\d)/g, (mark, digit: string) => String(args[Number(digit) - 1] ?? mark));
}

export const ENGLISH: Words = {
  __: (text, ...args) => fill(text, args),
  _n: (one, many, n, ...args) => fill(n === 1 ? one : many, [n, ...args]),
};

export const WordsContext = createContext<Words>(ENGLISH);

export function useWords(): Words {
  return useContext(WordsContext);
}
