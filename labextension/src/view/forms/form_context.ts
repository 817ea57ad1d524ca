/** What every field of one form shares. */

import { createContext } from 'preact';
import { useContext } from 'preact/hooks';

import type { Draft, Path } from './draft';
import { pathKey } from './problems';
import type { Schema } from './shape';

export interface FormState {
  /** Begins every id of this form's elements. */
  prefix: string;
  root: Schema;
  disabled: boolean;
  problems: ReadonlyMap<string, readonly string[]>;
  /** Put a draft at a place; `undefined` takes the place out. */
  change: (path: Path, draft: Draft | undefined) => void;
}

export const FormContext = createContext<FormState | null>(null);

export function useForm(): FormState {
  const form = useContext(FormContext);
  if (form === null) throw new Error('A field stands outside of a form.');
  return form;
}

export const fieldId = (form: FormState, path: Path): string => `${form.prefix}-${pathKey(path)}`;
