/** Where an answer stands: being written, sent, or refused and written again. */

import { useState } from 'preact/hooks';

import type { Actions, Line, Problem, Question } from '../types';
import { type Json, plain, print } from './json';

export interface Answering {
  /** open: it can be written; sent: the kernel has yet to say something; closed: not here, or not now. */
  state: 'open' | 'sent' | 'closed';
  problems: readonly Problem[];
  send: (answer: Json) => void;
}

const NONE: readonly Problem[] = [];

export interface QuestionProps<Q extends Question = Question> {
  question: Q;
  answering: Answering;
}

export function useAnswering(
  question: Question,
  line: Line,
  problems: readonly Problem[] | undefined,
  actions: Actions | null,
): Answering {
  const [sent, setSent] = useState<{ after: readonly Problem[] | undefined } | null>(null);
  // A refusal is a new list of problems: the form opens again with them.
  const waiting = sent !== null && sent.after === problems;
  const closed = actions === null || question.answered || line === 'gone';
  return {
    state: closed ? 'closed' : waiting ? 'sent' : 'open',
    problems: waiting ? NONE : (problems ?? NONE),
    send: (answer) => {
      setSent({ after: problems });
      actions?.answer(question.id, plain(answer), print(answer));
    },
  };
}
